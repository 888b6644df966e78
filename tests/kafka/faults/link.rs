//! The way from Consentry to one broker, which can be cut.
//!
//! Each broker has a listener that it advertises under this link's port, and Consentry begins at these ports:
//! so all that it says to that broker, and nothing that the tests or the other brokers say, goes through here.
//! Kafka's frames are read as such (KIP-482 changed their headers, not where the first three fields are): a
//! request's API key and correlation id, and by the latter whose reply it is.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Kafka's number for `EndTxn`, the request that commits or aborts a transaction.
pub const END_TXN: i16 = 26;

/// No frame in these tests is larger.
const LARGEST: usize = 64 << 20;

/// What becomes of what is sent either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It arrives.
    Open,
    /// It arrives when the way is open again, as what a network loses is sent again; connections stay.
    Silent,
    /// Connections are closed, and so is each new one.
    Refused,
}

/// What becomes of the replies to one kind of request. The requests all arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replies {
    /// The connection is closed instead.
    Cut,
    /// None comes, and the connection stays.
    Lost,
    /// Each comes this much later.
    Late(Duration),
}

/// A rule for replies to requests of this API key, as often as that.
#[derive(Clone, Copy, Debug)]
struct Rule {
    api: i16,
    replies: Replies,
    left: usize,
}

struct Control {
    way: Way,
    rule: Option<Rule>,
    /// How often the rule was followed.
    followed: usize,
    open: Vec<TcpStream>,
}

struct Shared {
    control: Mutex<Control>,
    changed: Condvar,
    broker: String,
}

/// The way to one broker.
pub struct Link {
    /// Where Consentry finds the broker.
    pub address: String,
    shared: Arc<Shared>,
}

impl Link {
    /// A way, open, to a broker that need not be there yet.
    pub fn to(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let control = Control { way: Way::Open, rule: None, followed: 0, open: Vec::new() };
        let shared = Arc::new(Shared {
            control: Mutex::new(control),
            changed: Condvar::new(),
            broker: format!("127.0.0.1:{broker}"),
        });
        let own = Arc::clone(&shared);
        // Ends with the process.
        thread::spawn(move || listener.incoming().flatten().for_each(|client| own.connect(client)));
        Self { address, shared }
    }

    /// From now on.
    pub fn set(&self, way: Way) {
        let mut control = self.shared.control();
        control.way = way;
        if way == Way::Refused {
            control.open.drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        }
        self.shared.changed.notify_all();
    }

    /// Does this to the next so many replies to requests of this API key.
    pub fn spoil(&self, api: i16, replies: Replies, times: usize) {
        let mut control = self.shared.control();
        control.rule = Some(Rule { api, replies, left: times });
        control.followed = 0;
    }

    /// How many replies were spoilt.
    pub fn spoilt(&self) -> usize {
        self.shared.control().followed
    }

    /// As if nothing had been.
    pub fn mend(&self) {
        self.shared.control().rule = None;
        self.set(Way::Open);
    }
}

impl Shared {
    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries what two say to each other, until either ends.
    fn connect(self: &Arc<Self>, client: TcpStream) {
        let Ok(broker) = TcpStream::connect(&self.broker) else { return };
        let _ = client.set_nodelay(true);
        let _ = broker.set_nodelay(true);
        let ends = [&client, &broker].map(|stream| stream.try_clone().expect("a file descriptor"));
        let mut control = self.control();
        if control.way == Way::Refused {
            return;
        }
        control.open.retain(|stream| stream.peer_addr().is_ok());
        control.open.extend([&client, &broker].map(|stream| stream.try_clone().expect("a file descriptor")));
        drop(control);
        let asked = Arc::new(Mutex::new(HashMap::new()));
        let (there, back) = (Arc::clone(self), Arc::clone(self));
        let own = Arc::clone(&asked);
        let [client_end, broker_end] = ends;
        thread::spawn(move || {
            let _ = there.requests(&client, &broker, &own);
            close(&client, &broker);
        });
        thread::spawn(move || {
            let _ = back.replies(&broker_end, &client_end, &asked);
            close(&broker_end, &client_end);
        });
    }

    fn requests(&self, from: &TcpStream, to: &TcpStream, asked: &Asked) -> io::Result<()> {
        loop {
            let frame = Frame::read(from)?;
            if let (Some(api), Some(id)) = (frame.short(0), frame.word(4)) {
                asked.lock().unwrap_or_else(PoisonError::into_inner).insert(id, api);
            }
            self.wait_until_open();
            frame.write(to)?;
        }
    }

    fn replies(&self, from: &TcpStream, to: &TcpStream, asked: &Asked) -> io::Result<()> {
        loop {
            let frame = Frame::read(from)?;
            let id = frame.word(0).unwrap_or_default();
            let api = asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            match api.and_then(|api| self.rule(api)) {
                Some(Replies::Cut) => return Ok(()),
                Some(Replies::Lost) => continue,
                Some(Replies::Late(by)) => thread::sleep(by),
                None => {}
            }
            self.wait_until_open();
            frame.write(to)?;
        }
    }

    /// What is to be done with a reply.
    fn rule(&self, api: i16) -> Option<Replies> {
        let mut control = self.control();
        let rule = control.rule.as_mut().filter(|rule| rule.api == api && rule.left > 0)?;
        rule.left -= 1;
        let replies = rule.replies;
        control.followed += 1;
        Some(replies)
    }

    fn wait_until_open(&self) {
        let mut control = self.control();
        while control.way == Way::Silent {
            control = self.changed.wait(control).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Which API a request was for, by its correlation id.
type Asked = Mutex<HashMap<i32, i16>>;

fn close(one: &TcpStream, other: &TcpStream) {
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
}

/// What follows the length.
struct Frame(Vec<u8>);

impl Frame {
    fn read(mut from: &TcpStream) -> io::Result<Self> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).map_err(io::Error::other)?;
        if length > LARGEST {
            return Err(io::Error::other("no frame of Kafka's"));
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        Ok(Self(body))
    }

    fn write(&self, mut to: &TcpStream) -> io::Result<()> {
        let length = i32::try_from(self.0.len()).map_err(io::Error::other)?;
        to.write_all(&[&length.to_be_bytes()[..], &self.0].concat())
    }

    fn short(&self, at: usize) -> Option<i16> {
        Some(i16::from_be_bytes(self.0.get(at..at + 2)?.try_into().ok()?))
    }

    fn word(&self, at: usize) -> Option<i32> {
        Some(i32::from_be_bytes(self.0.get(at..at + 4)?.try_into().ok()?))
    }
}
