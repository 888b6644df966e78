//! The demonstration while it runs: wait for the first event, play, stop in order, add up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use crate::app::Proxy;
use crate::broker::Broker;
use crate::consent::End;
use crate::telemetry::PipelineTotals;
use crate::time::Instant;

use super::Args;
use super::display::{Display, Frame};
use super::generator::{Desk, WATCHED_RATE};
use super::observer::Observer;
use super::summary::{Evidence, Summary};

/// How long the proxy may take until the first event comes out.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How long what is under way in the end may take to come out.
const SETTLE_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks at the numbers.
const LOOK: Duration = Duration::from_millis(20);
/// When the person whose events wait confirms, where there is no earlier third.
const CONFIRM_AFTER: Duration = Duration::from_secs(3);
/// When the watched person withdraws, where there is no earlier half-time.
const WITHDRAW_AFTER: Duration = Duration::from_secs(5);

/// Everything that runs.
pub struct Stage<'a> {
    /// What was asked for.
    pub args: &'a Args,
    /// Where the generator is told what to do.
    pub desk: Arc<Desk>,
    /// What is demonstrated.
    pub proxy: Proxy,
    /// The reader of the sinks.
    pub observer: Observer,
    /// The generator; taken when it is waited for.
    pub shop: Option<JoinHandle<Result<()>>>,
    /// When the shop opened.
    pub opened: Instant,
    /// Ctrl-C was pressed.
    pub interrupted: Arc<AtomicBool>,
}

impl Stage<'_> {
    fn totals(&self) -> PipelineTotals {
        let none = PipelineTotals { pipeline: String::new(), read: 0, routes: Vec::new() };
        self.proxy.totals().into_iter().next().unwrap_or(none)
    }

    fn over(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst) || self.desk.stop.load(Ordering::SeqCst)
    }

    /// The broker lets a group form for 3 s before it hands out partitions.
    pub fn wait_for_the_first(&self, display: &Display) -> Result<()> {
        display.say("Loading consents and joining the consumer group …");
        let began = Instant::now();
        while self.observer.events().iter().sum::<u64>() == 0 {
            if self.over() {
                bail!("it was stopped before the first event came out");
            }
            if began.elapsed() > START_WITHIN {
                let causes = self.proxy.health().ready().err().unwrap_or_default();
                let told: Vec<String> =
                    causes.iter().map(|(cause, detail)| format!("{}: {detail}", cause.word())).collect();
                bail!("nothing came out within {} s; {}", START_WITHIN.as_secs(), told.join("; "));
            }
            sleep(LOOK);
        }
        Ok(())
    }

    /// Where to connect while it runs, and what to read there.
    pub fn addresses(&self, broker: &Broker, topics: &[&str]) -> String {
        format!(
            "Kafka (mock):  {}\nStatus page:   http://{}/\nTopics:        {}",
            broker.bootstrap(),
            self.proxy.admin_address(),
            topics.join(" ")
        )
    }

    /// Shows it for as long as was asked, and has the watched person withdraw on the way.
    pub fn play(&self, display: &mut Display) {
        let began = Instant::now();
        let withdraw_after =
            if self.args.keep { WITHDRAW_AFTER } else { WITHDRAW_AFTER.min(self.args.length / 2) };
        let confirm_after =
            if self.args.keep { CONFIRM_AFTER } else { CONFIRM_AFTER.min(self.args.length / 3) };
        let (mut asked, mut confirmed) = (false, false);
        while !self.over() && (self.args.keep || began.elapsed() < self.args.length) {
            let passed = began.elapsed();
            if !asked && passed >= withdraw_after {
                asked = true;
                display.say(&format!(
                    "One person, who sends {WATCHED_RATE} events a second, withdraws everything."
                ));
                self.desk.withdraw.store(true, Ordering::SeqCst);
            }
            if !confirmed && passed >= confirm_after {
                confirmed = true;
                display
                    .say("Another person, who asked for the newsletter and for whom events wait, confirms.");
                self.desk.confirm.store(true, Ordering::SeqCst);
            }
            let experiment = &self.desk.experiment;
            display.show(&Frame {
                passed,
                totals: &self.totals(),
                withdrawal: experiment.findings(),
                withdrawn: experiment.acknowledged(),
            });
            sleep(LOOK);
        }
    }

    /// Stops the shop, lets everything come out, stops the rest and adds up.
    pub fn close(mut self, display: &Display) -> Result<Summary> {
        display.finish();
        self.desk.stop.store(true, Ordering::SeqCst);
        if let Some(shop) = self.shop.take() {
            shop.join().map_err(|_| anyhow!("the generator panicked"))??;
        }
        let open_for = self.opened.elapsed();
        let sent = self.desk.events.load(Ordering::SeqCst);
        let began = Instant::now();
        while !self.settled(sent) && began.elapsed() < SETTLE_WITHIN {
            sleep(LOOK);
        }
        let totals = self.totals();
        self.proxy.stop()?;
        let mut found = self.observer.stop();
        let duplicates = found.iter().map(|found| found.duplicates).sum();
        let in_quarantine = found.pop().map_or(0, |quarantine| quarantine.events);
        if self.desk.failed.load(Ordering::SeqCst) > 0 {
            bail!("the embedded broker refused messages; try a lower `--rate`");
        }
        Ok(Summary::new(Evidence {
            seconds: open_for.as_secs_f64(),
            sent,
            consents: self.desk.consents.load(Ordering::SeqCst),
            totals,
            in_sinks: found.iter().map(|found| found.events).collect(),
            in_quarantine,
            duplicates,
            withdrawal: self.desk.experiment.findings(),
            opt_in: self.desk.opt_in.released(),
        }))
    }

    /// Whether all that was sent was read, and all that was forwarded was found.
    fn settled(&self, sent: u64) -> bool {
        let totals = self.totals();
        let found = self.observer.events();
        let out = totals.routes.iter().map(|route| route.ended(Some(End::Forwarded)));
        let opt_in = self.desk.opt_in.released();
        let waits = opt_in.confirmed && opt_in.released < opt_in.waited;
        !waits && totals.read >= sent && out.zip(found).all(|(forwarded, found)| found >= forwarded)
    }
}
