//! What offpath itself took, from the moments that pingora's callbacks show.
//!
//! ```text
//! head parsed ── own ── peer chosen ── connect ── connected ── own ── head goes upstream
//!   ── upload (request tap: own) ── last request byte ── upstream ── head received ── own ── head goes downstream
//! ```
//!
//! After a failed attempt the time is offpath's own again until the next peer is chosen; an
//! attempt's wait for the upstream never is. The writes that follow a callback are in no figure.

use std::fmt::Write;
use std::time::{Duration, Instant};

/// The moments of one exchange.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    start: Instant,
    phase: Phase,
    own: Duration,
    connect: Duration,
    head_sent: Option<Instant>,
    request_end: Option<Instant>,
    response_head: Option<Instant>,
    body: Duration,
}

/// Whose time it is.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// offpath's, since then.
    Own(Instant),
    /// The connection's, since then.
    Connecting(Instant),
    /// The client's or the upstream's.
    Away,
}

/// The figures of `server-timing`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// What offpath itself did before the response began.
    pub offpath: Duration,
    /// Peer chosen to connected; zero when a connection was reused.
    pub connect: Duration,
    /// Request head about to be written to the last request body callback.
    pub upload: Duration,
    /// From there, or from the head where the response came first, to the response head.
    pub upstream: Duration,
}

impl Marks {
    /// The request's head was parsed.
    pub fn begin(now: Instant) -> Self {
        Self {
            start: now,
            phase: Phase::Own(now),
            own: Duration::ZERO,
            connect: Duration::ZERO,
            head_sent: None,
            request_end: None,
            response_head: None,
            body: Duration::ZERO,
        }
    }

    /// When the head was parsed.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Time since the head was parsed.
    pub fn at(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }

    /// A peer is chosen; what an earlier attempt reached is void.
    pub fn peer_chosen(&mut self, now: Instant) {
        self.leave(now);
        self.phase = Phase::Connecting(now);
        self.head_sent = None;
        self.request_end = None;
    }

    /// There is a connection.
    pub fn connected(&mut self, now: Instant, reused: bool) {
        if reused {
            self.phase = Phase::Own(now);
        } else {
            self.own_again(now);
        }
    }

    /// The request's head is about to be written upstream.
    pub fn head_sent(&mut self, now: Instant) {
        self.leave(now);
        self.head_sent = Some(now);
    }

    /// The request tap ran from `began` to `now`; `last`: the body ended.
    pub fn request_tapped(&mut self, began: Instant, now: Instant, last: bool) {
        // Once the response has begun the head's figures are fixed.
        if self.response_head.is_none() {
            self.own += now.saturating_duration_since(began);
            if last {
                self.request_end = Some(began);
            }
        } else {
            self.body += now.saturating_duration_since(began);
        }
    }

    /// An attempt failed, or offpath answers by itself: from here it is its own time.
    pub fn own_again(&mut self, now: Instant) {
        self.leave(now);
        self.phase = Phase::Own(now);
    }

    /// The response's head was received.
    pub fn response_received(&mut self, now: Instant) {
        self.leave(now);
        self.phase = Phase::Own(now);
        self.response_head = Some(now);
    }

    /// The response's head, these figures in it, is about to be written.
    pub fn response_composed(&mut self, now: Instant) -> Figures {
        self.leave(now);
        self.figures()
    }

    /// The response tap ran from `began` to `now`.
    pub fn response_tapped(&mut self, began: Instant, now: Instant) {
        self.body += now.saturating_duration_since(began);
    }

    /// The figures so far.
    pub fn figures(&self) -> Figures {
        let between = |from: Option<Instant>, to: Option<Instant>| match (from, to) {
            (Some(from), Some(to)) => to.saturating_duration_since(from),
            _ => Duration::ZERO,
        };
        Figures {
            offpath: self.own,
            connect: self.connect,
            upload: between(self.head_sent, self.request_end),
            upstream: between(self.request_end.or(self.head_sent), self.response_head),
        }
    }

    /// What the taps took after the response had begun.
    pub fn body(&self) -> Duration {
        self.body
    }

    /// When the request's head went upstream, from the start.
    pub fn head_sent_at(&self) -> Option<Duration> {
        self.head_sent.map(|moment| self.at(moment))
    }

    /// When the request's last byte passed, from the start.
    pub fn request_end_at(&self) -> Option<Duration> {
        self.request_end.map(|moment| self.at(moment))
    }

    /// When the response's head came, from the start.
    pub fn response_head_at(&self) -> Option<Duration> {
        self.response_head.map(|moment| self.at(moment))
    }

    fn leave(&mut self, now: Instant) {
        match self.phase {
            Phase::Own(since) => self.own += now.saturating_duration_since(since),
            Phase::Connecting(since) => self.connect += now.saturating_duration_since(since),
            Phase::Away => {}
        }
        self.phase = Phase::Away;
    }
}

impl Figures {
    /// The value of `server-timing` (W3C Server Timing, section 2): milliseconds, to the microsecond.
    pub fn server_timing(&self) -> String {
        let mut value = String::with_capacity(88);
        let parts = [
            ("offpath", self.offpath),
            ("connect", self.connect),
            ("upload", self.upload),
            ("upstream", self.upstream),
        ];
        for (name, span) in parts {
            let comma = if value.is_empty() { "" } else { ", " };
            let micros = span.as_micros();
            write!(
                value,
                "{comma}{name};dur={}.{:03}",
                micros / 1_000,
                micros % 1_000
            )
            .expect("writing to a string cannot fail");
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moments in microseconds from a start.
    fn clock() -> impl Fn(u64) -> Instant {
        #[expect(
            clippy::disallowed_methods,
            reason = "any instant will do as an origin"
        )]
        let origin = Instant::now();
        move |micros| origin + Duration::from_micros(micros)
    }

    fn micros(figures: Figures) -> [u128; 4] {
        [
            figures.offpath,
            figures.connect,
            figures.upload,
            figures.upstream,
        ]
        .map(|d| d.as_micros())
    }

    #[test]
    fn each_figure_is_its_own_stretch() {
        let at = clock();
        let mut marks = Marks::begin(at(0));
        marks.peer_chosen(at(10));
        marks.connected(at(500), false);
        marks.head_sent(at(505));
        marks.request_tapped(at(600), at(602), false);
        marks.request_tapped(at(800), at(803), true);
        marks.response_received(at(10_800));
        let figures = marks.response_composed(at(10_807));
        assert_eq!(micros(figures), [10 + 5 + 2 + 3 + 7, 490, 295, 10_000]);
        assert_eq!(
            figures.server_timing(),
            "offpath;dur=0.027, connect;dur=0.490, upload;dur=0.295, upstream;dur=10.000"
        );
        marks.response_tapped(at(11_000), at(11_004));
        assert_eq!((marks.body().as_micros(), marks.figures()), (4, figures));
    }

    #[test]
    fn a_reused_connection_costs_nothing() {
        let at = clock();
        let mut marks = Marks::begin(at(0));
        marks.peer_chosen(at(3));
        marks.connected(at(9), true);
        marks.head_sent(at(10));
        assert_eq!(micros(marks.figures()), [4, 0, 0, 0]);
    }

    #[test]
    fn a_response_before_the_bodys_end_leaves_no_upload() {
        let at = clock();
        let mut marks = Marks::begin(at(0));
        marks.peer_chosen(at(1));
        marks.connected(at(1), true);
        marks.head_sent(at(2));
        marks.response_received(at(50));
        marks.response_composed(at(51));
        marks.request_tapped(at(90), at(92), true);
        assert_eq!(micros(marks.figures()), [3, 0, 0, 48]);
        assert_eq!(marks.body().as_micros(), 2);
    }

    #[test]
    fn a_failed_attempts_wait_is_not_offpaths() {
        let at = clock();
        let mut marks = Marks::begin(at(0));
        marks.peer_chosen(at(1));
        marks.connected(at(2), true);
        marks.head_sent(at(3));
        marks.own_again(at(1_000));
        marks.peer_chosen(at(1_002));
        marks.connected(at(1_010), false);
        marks.head_sent(at(1_011));
        marks.response_received(at(2_011));
        assert_eq!(
            micros(marks.response_composed(at(2_012))),
            [1 + 1 + 2 + 1 + 1, 8, 0, 1_000]
        );
    }
}
