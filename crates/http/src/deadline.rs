//! A connection that does not wait for ever.
//!
//! | the peer | time |
//! |---|---|
//! | opened a connection or began a request, and its head is not complete | `head` |
//! | has no request going | `idle` |
//! | takes nothing of any response that is ready for it | `write` to twice `write` |
//!
//! Bodies have deadlines of their own ([`crate::body`]), so nothing runs here while a request is
//! being worked on. An HTTP/2 peer counts as idle only when it sends nothing at all.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// Bytes of the text that opens an HTTP/2 connection.
const H2_PREFACE: usize = 24;

/// How long a peer may be quiet; see the module doc.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    pub(crate) head: Duration,
    pub(crate) idle: Duration,
}

/// The requests of a connection that are being worked on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    in_flight: AtomicUsize,
    /// Responses with something ready that the peer has not taken.
    owed: AtomicUsize,
    /// Grows whenever the peer takes something.
    taken: AtomicUsize,
}

/// One request; it ends when this is dropped.
pub(crate) struct InFlight {
    activity: Activity,
    owed: bool,
}

impl Activity {
    pub(crate) fn begin(&self) -> InFlight {
        self.0.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight { activity: self.clone(), owed: false }
    }

    fn is_busy(&self) -> bool {
        self.0.in_flight.load(Ordering::Relaxed) > 0
    }

    /// Resolves once the peer has taken nothing for `time` although there was something to take.
    /// HTTP/2 needs this: its streams have windows of their own, so the socket does not tell.
    pub(crate) async fn stalled(&self, time: Duration) {
        let mut before = None;
        loop {
            sleep(time).await;
            let owed = self.0.owed.load(Ordering::Relaxed) > 0;
            let taken = owed.then(|| self.0.taken.load(Ordering::Relaxed));
            if owed && taken == before {
                return;
            }
            before = taken;
        }
    }
}

impl InFlight {
    /// The server asks the response for more: the peer has taken what there was.
    pub(crate) fn taken(&self) {
        self.activity.0.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether something is ready for the peer now.
    pub(crate) fn owe(&mut self, owed: bool) {
        if owed != self.owed {
            self.owed = owed;
            let counter = &self.activity.0.owed;
            if owed {
                counter.fetch_add(1, Ordering::Relaxed)
            } else {
                counter.fetch_sub(1, Ordering::Relaxed)
            };
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.owe(false);
        self.activity.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// A request's head is awaited, since the connection opened or its first byte came.
    Head,
    /// Requests are being worked on.
    Busy,
    /// No request is going.
    Idle,
}

/// A socket with deadlines.
pub(crate) struct Stream {
    socket: TcpStream,
    deadlines: Deadlines,
    activity: Activity,
    phase: Phase,
    is_h2: bool,
    received: usize,
    timer: Pin<Box<Sleep>>,
}

impl Stream {
    pub(crate) fn new(socket: TcpStream, deadlines: Deadlines, activity: Activity) -> Self {
        Self {
            socket,
            deadlines,
            activity,
            phase: Phase::Head,
            is_h2: false,
            received: 0,
            timer: Box::pin(sleep(deadlines.head)),
        }
    }

    fn enter(&mut self, phase: Phase, time: Duration) {
        self.phase = phase;
        self.timer.as_mut().reset(Instant::now() + time);
    }

    fn received(&mut self, bytes: &[u8]) {
        if self.received == 0 {
            // No HTTP/1 method starts like the preface of HTTP/2.
            self.is_h2 = bytes.starts_with(b"PRI");
        }
        self.received = self.received.saturating_add(bytes.len());
        if self.is_h2 && self.received < H2_PREFACE {
            return;
        }
        if self.is_h2 {
            self.enter(Phase::Idle, self.deadlines.idle);
        } else if self.phase == Phase::Idle {
            self.enter(Phase::Head, self.deadlines.head);
        }
    }

    /// Called when there is nothing to read: an error once the peer was quiet for too long.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.activity.is_busy() {
            self.phase = Phase::Busy;
            return Poll::Pending;
        }
        if self.phase == Phase::Busy {
            self.enter(Phase::Idle, self.deadlines.idle);
        }
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match Pin::new(&mut this.socket).poll_read(cx, buf) {
            Poll::Pending => this.poll_quiet(cx),
            ready => {
                this.received(&buf.filled()[before..]);
                ready
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
