//! Events at a steady rate, from a stock that is made before: making one costs more than sending it, and
//! what feeds must not be what is measured.

use std::time::Duration;

use consentry::time::{Clock, Instant};

use crate::load::{Bulk, Load};

/// Events that are sent again and again.
pub struct Feed {
    bulk: Bulk,
    stock: Vec<(String, String)>,
}

impl Feed {
    /// A stock of as many events as the load has records, held for no more than 5 ms when sent.
    pub fn new(address: &str, load: &Load) -> Self {
        let now = Clock::default().now().0;
        let stock = (0..load.records).map(|number| load.event(number, now)).collect();
        Self { bulk: Bulk::prompt(address), stock }
    }

    /// Sends so many a second for as long as it `goes_on`, and never more than `allowed` in all, which is
    /// how a backlog is bounded: how many were sent. All are acknowledged when this returns.
    pub fn run(
        &self,
        topic: &str,
        a_second: f64,
        allowed: impl Fn() -> u64,
        goes_on: impl Fn() -> bool,
    ) -> u64 {
        let mut stock = self.stock.iter().cycle();
        let (mut sent, mut last, mut due) = (0, Instant::now(), 0.0);
        while goes_on() {
            std::thread::sleep(Duration::from_millis(1));
            let now = Instant::now();
            due += now.since(last).as_secs_f64() * a_second;
            last = now;
            // What may not be sent in its time is not made good for later.
            let allowed = allowed().saturating_sub(sent) as f64;
            for (key, value) in stock.by_ref().take(due.min(allowed) as usize) {
                self.bulk.send(topic, key, value.as_bytes());
                sent += 1;
            }
            due = if due > allowed { 0.0 } else { due.fract() };
        }
        self.bulk.flush();
        sent
    }
}
