//! A listener that takes a bounded number of connections, and closes those on which nothing is said and
//! those that have been open for long, so that whoever trickles a request cannot keep a place.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at once; more wait in the system's queue.
const CONNECTIONS: usize = 64;

/// How long a connection may say nothing. Longer than the usual scrape interval would keep it open for
/// scrapers; they connect anew without harm.
const IDLE: Duration = Duration::from_secs(20);

/// How long a connection may be open, whatever is said on it.
const LIFETIME: Duration = Duration::from_secs(30);

/// At most `CONNECTIONS` connections, each with a limit on silence and on its life.
pub(super) struct Limited {
    listener: TcpListener,
    places: Arc<Semaphore>,
    lifetime: Duration,
}

/// A connection that gives its place back when it is dropped.
pub(super) struct Connection {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    end: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Limited {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(CONNECTIONS)), lifetime: LIFETIME }
    }
}

impl Listener for Limited {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The semaphore is never closed, so there is always a place in the end.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let (silence, end) = (Box::pin(sleep(IDLE)), Box::pin(sleep(self.lifetime)));
        (Connection { stream, silence, end, _place: place }, address)
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connection {
    /// Something was said: silence begins anew.
    fn heard<T>(&mut self, polled: Poll<Result<T>>, context: &mut Context<'_>) -> Poll<Result<T>> {
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(Error::from(ErrorKind::TimedOut)));
        }
        if polled.is_ready() {
            self.silence.as_mut().reset(Instant::now() + IDLE);
            return polled;
        }
        match self.silence.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(Error::from(ErrorKind::TimedOut))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.heard(polled, context)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.heard(polled, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_connection_on_which_little_is_said_for_long_is_closed() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let mut limited = Limited { lifetime: Duration::from_millis(100), ..Limited::new(listener) };
            let (mut connection, _) = limited.accept().await;
            let (mut heard, mut byte) = (0, [0]);
            let ended = loop {
                client.write_all(b"x").unwrap();
                let read = std::future::poll_fn(|context| {
                    Pin::new(&mut connection).poll_read(context, &mut ReadBuf::new(&mut byte))
                });
                match read.await {
                    Ok(_) => heard += 1,
                    Err(error) => break error,
                }
                sleep(Duration::from_millis(5)).await;
            };
            assert_eq!(ended.kind(), ErrorKind::TimedOut);
            assert!((2..100).contains(&heard), "{heard} bytes were heard");
        });
    }
}
