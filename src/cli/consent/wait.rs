//! Waiting until running instances have a change in force, by asking them over HTTP.

use std::io::{Read, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Early, usage};
use crate::steward::Written;
use crate::time::Instant;

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_millis(500);
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long a change may take until it is in force.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(60);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(1);
/// The longest answer, in bytes.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// What an instance said.
#[derive(Clone, Debug, Serialize)]
pub struct Waited {
    /// Its name; its address where it did not answer.
    pub instance: String,
    /// From the beginning of the write until it was in force there, in milliseconds.
    pub ms: Option<f64>,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether it was asked for by name.
    #[serde(skip)]
    pub asked_for: bool,
}

/// Who is waited for, and what they said.
pub struct Waits {
    /// `HOST:PORT`, and whether it was asked for by name.
    places: Vec<(String, bool)>,
    /// When the first change began.
    began: Option<Instant>,
    waited: Vec<Waited>,
}

impl Waits {
    /// For those that are named, or else for the one that listens here.
    pub fn new(urls: &[String], listen: Option<SocketAddr>) -> Result<Self, Early> {
        let named = urls.iter().map(|url| Ok((address(url)?, true))).collect::<Result<Vec<_>, Early>>()?;
        let listen = listen.filter(|listen| named.is_empty() && listen.port() != 0);
        let own = listen.map(|listen| (reachable(listen).to_string(), false));
        Ok(Self { places: named.into_iter().chain(own).collect(), began: None, waited: Vec::new() })
    }

    /// Waits until each has what was written in force. What is waited for later goes before.
    pub fn wait(&mut self, written: &[Written], began: Instant) {
        let began = *self.began.get_or_insert(began);
        // One after the other: a later one may have had it in force before it was asked.
        self.waited = self.places.iter().map(|(place, named)| one(place, written, began, *named)).collect();
    }

    /// What they said.
    pub fn waited(&self) -> &[Waited] {
        &self.waited
    }
}

/// `HOST:PORT` of an address of the listener.
fn address(url: &str) -> Result<String, Early> {
    let rest = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let good = !rest.contains(['/', '@', '?', '#'])
        && rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    good.then(|| rest.to_owned())
        .ok_or_else(|| usage("`--wait` takes the address of an admin listener, such as `http://gate-1:8080`"))
}

/// An address that can be connected to, where every one is listened on.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn one(place: &str, written: &[Written], began: Instant, asked_for: bool) -> Waited {
    let mut waited = Waited { instance: place.to_owned(), ms: None, why: None, asked_for };
    let asked = Instant::now();
    for place_of in written {
        loop {
            let answer = match ask(place, place_of) {
                Ok(answer) => answer,
                Err(why) => {
                    waited.why = Some(why);
                    return waited;
                }
            };
            waited.instance = answer.instance;
            match answer.applied {
                Some(true) => break,
                Some(false) if asked.elapsed() < IN_FORCE_WITHIN => std::thread::sleep(PAUSE),
                Some(false) => {
                    waited.why = Some(format!(
                        "not in force within {} s: `/ready` may say why",
                        IN_FORCE_WITHIN.as_secs()
                    ));
                    return waited;
                }
                None => {
                    waited.why =
                        Some(format!("another instance holds consent partition {}", place_of.partition));
                    return waited;
                }
            }
        }
    }
    waited.ms = Some((began.elapsed().as_secs_f64() * 1e6).round() / 1e3);
    waited
}

#[derive(Deserialize)]
struct Answer {
    instance: String,
    applied: Option<bool>,
}

fn ask(place: &str, written: &Written) -> Result<Answer, String> {
    let failed = |error: std::io::Error| format!("no answer from {place}: {error}");
    let mut found = place.to_socket_addrs().map_err(failed)?;
    let found = found.next().ok_or_else(|| format!("{place} has no address"))?;
    let mut stream = TcpStream::connect_timeout(&found, CONNECT_WITHIN).map_err(failed)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(failed)?;
    let path = format!("/api/v1/applied/{}/{}", written.partition, written.offset);
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {place}\r\n\r\n").map_err(failed)?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer).map_err(failed)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    serde_json::from_str(body).map_err(|_| format!("what listens at {place} is no instance that can tell"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["http://gate-1:8080", "http://gate-1:8080/", "127.0.0.1:8080", "http://[::1]:8080"] {
            assert!(address(good).is_ok_and(|place| !place.contains('/')), "{good}");
        }
        for bad in ["https://gate-1:8080", "http://gate-1", "gate-1:x", "http://a:1/live", "http://u@a:1"] {
            assert!(address(bad).is_err(), "{bad}");
        }
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(reachable("[::]:80".parse().unwrap()).to_string(), "[::1]:80");
    }
}
