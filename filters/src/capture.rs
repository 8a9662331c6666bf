//! One request's capture, from its head to its end.
//!
//! Times and sizes are taken of every request; messages only of one that is kept, or may be. The gateway
//! calls in pingora's order, and gets an [`Exchange`] at the end where there is one to keep.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};
use offpath_trace::{
    EndReason, Exchange, Ids, Outcome, Plan, Request, Response, StreamEnd, Timing,
};

use crate::{CaptureBudget, End, Figures, Head, Judged, KeepRules, Lease, Marks, Memory, Tap};

/// The state of one request.
#[derive(Debug)]
pub struct Capture {
    marks: Marks,
    started: SystemTime,
    first_byte: Option<Duration>,
    attempts: u32,
    response_bytes: u64,
    /// The end of the response so far, if it is a stream of events.
    stream_end: Option<Box<StreamEnd>>,
    recording: Option<Box<Recording>>,
}

/// What is kept of a request that is kept, or may be.
#[derive(Debug)]
pub struct Recording {
    plan: Arc<Plan>,
    ids: Ids,
    keeping: Keeping,
    request_id: Box<str>,
    request: Request,
    request_tap: Tap,
    response: Option<Response>,
    response_tap: Tap,
    lease: Lease,
}

/// Whether the exchange is kept, as far as that is decided.
#[derive(Debug)]
pub struct Keeping {
    /// The head decision.
    pub head: Head,
    /// What the end may add to it.
    pub rules: Option<Arc<KeepRules>>,
    /// Whether its content may add to it as well, which is for the background to tell.
    pub content: bool,
}

/// An exchange that is kept, or may be by its content.
#[derive(Debug)]
pub struct Finished {
    /// For the background.
    pub exchange: Exchange,
    /// It is left to a rule, but the budget had had no room for all of its bodies.
    pub short: bool,
}

impl Keeping {
    /// Whether there is anything to record for.
    pub fn may_keep(&self) -> bool {
        self.head.kept.is_some() || self.rules.is_some() || self.content
    }
}

impl Recording {
    /// A request that is kept, or may be. Its head of `head_bytes` is charged to the
    /// budget, but never refused: heads are bounded by the limits of connections and head size.
    pub fn begin(
        plan: Arc<Plan>,
        ids: Ids,
        keeping: Keeping,
        request: (Box<str>, Request),
        head_bytes: usize,
        max_body: usize,
        budget: &CaptureBudget,
    ) -> Box<Self> {
        let mut lease = budget.lease();
        lease.charge(head_bytes + size_of::<Self>());
        let (request_id, request) = request;
        let memory = memory_of(request.version);
        Box::new(Self {
            plan,
            ids,
            keeping,
            request_id,
            request,
            request_tap: Tap::new(max_body, memory),
            response: None,
            response_tap: Tap::new(max_body, Memory::Exact),
            lease,
        })
    }
}

impl Capture {
    /// The request's head was parsed.
    pub fn begin(now: Instant, started: SystemTime) -> Self {
        Self {
            marks: Marks::begin(now),
            started,
            first_byte: None,
            attempts: 0,
            response_bytes: 0,
            stream_end: None,
            recording: None,
        }
    }

    /// The moments, for the callbacks that only time.
    pub fn marks(&mut self) -> &mut Marks {
        &mut self.marks
    }

    /// Keep this request from here on, at least until its end decides.
    pub fn record(&mut self, recording: Box<Recording>) {
        self.recording = Some(recording);
    }

    /// A peer is chosen for another attempt: the request body begins anew.
    pub fn attempt(&mut self, now: Instant) {
        self.marks.peer_chosen(now);
        self.attempts += 1;
        if let Some(recording) = &mut self.recording {
            recording.request_tap.restart(&mut recording.lease);
        }
    }

    /// A piece of the request body passes at `now`. Whoever reads the clock around this call
    /// reports it to [`Marks::request_tapped`].
    pub fn request_chunk(&mut self, chunk: &Bytes, now: Instant) {
        if let Some(recording) = &mut self.recording {
            let at = self.marks.at(now);
            recording.request_tap.take(chunk, at, &mut recording.lease);
        }
    }

    /// The head of the final response, as the upstream sent it or as offpath answers itself.
    /// `from_upstream`: the HTTP version that it came in.
    pub fn response_head(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        from_upstream: Option<Version>,
    ) {
        if let Some(recording) = &mut self.recording {
            recording
                .response_tap
                .set_memory(from_upstream.map_or(Memory::Exact, memory_of));
            recording.response = Some(Response {
                status,
                headers: headers.into(),
                from_upstream: from_upstream.is_some(),
                body: offpath_trace::Body::default(),
                trailers: None,
            });
        }
    }

    /// The head is about to be written: the figures that it carries.
    pub fn response_composed(&mut self, now: Instant) -> Figures {
        self.marks.response_composed(now)
    }

    /// A piece of the response body passes.
    pub fn response_chunk(&mut self, chunk: &Bytes, now: Instant) {
        let at = self.marks.at(now);
        if self.first_byte.is_none() && !chunk.is_empty() {
            self.first_byte = Some(at);
            self.stream_end = StreamEnd::of(chunk);
        }
        self.response_bytes += chunk.len() as u64;
        if let Some(end) = &mut self.stream_end {
            end.pass(chunk);
        }
        if let Some(recording) = &mut self.recording {
            recording.response_tap.take(chunk, at, &mut recording.lease);
        }
    }

    /// The fields after the response body.
    pub fn response_trailers(&mut self, trailers: &HeaderMap) {
        if let Some(response) = self.recording.as_mut().and_then(|r| r.response.as_mut()) {
            response.trailers = Some(trailers.into());
        }
    }

    /// First byte of the response body, from the start.
    pub fn first_byte(&self) -> Option<Duration> {
        self.first_byte
    }

    /// The size of the response body so far, in bytes.
    pub fn response_bytes(&self) -> u64 {
        self.response_bytes
    }

    /// Returns whether the response is a stream that has said its last word. Such an answer is whole,
    /// however its connection ends. `false` where the last bytes do not show it: see
    /// [`StreamEnd`].
    pub fn said_last_word(&self) -> bool {
        self.stream_end
            .as_ref()
            .is_some_and(|end| end.is_last_word())
    }

    /// The end, however it came about; `None` where the exchange is surely not kept, and at a
    /// second call.
    pub fn finish(&mut self, now: Instant, outcome: Outcome) -> Option<Finished> {
        let recording = *self.recording.take()?;
        let head = recording.keeping.head;
        let judged = match &recording.keeping.rules {
            Some(rules) => rules.judge(head, &self.ended(&recording, &outcome, now), now),
            None => Judged {
                head,
                kept_if_left: false,
            },
        };
        let Head { kept, weight } = judged.head;
        if kept.is_none() && !judged.kept_if_left && !recording.keeping.content {
            return None;
        }
        let refused = recording.request_tap.ran_short() || recording.response_tap.ran_short();
        let short = head.kept.is_none() && refused;
        let figures = self.marks.figures();
        let mut request = recording.request;
        request.body = recording.request_tap.into_body();
        let response = recording.response.map(|response| Response {
            body: recording.response_tap.into_body(),
            ..response
        });
        let exchange = Exchange {
            plan: recording.plan,
            ids: recording.ids,
            kept,
            kept_if_left: judged.kept_if_left,
            weight,
            request_id: recording.request_id,
            request,
            response,
            timing: Timing {
                start: self.started,
                upstream_start: self.marks.head_sent_at(),
                request_end: self.marks.request_end_at(),
                response_head: self.marks.response_head_at(),
                first_byte: self.first_byte,
                end: self.marks.at(now),
                overhead_head: figures.offpath,
                overhead_body: self.marks.body(),
                attempts: self.attempts,
            },
            outcome,
            charge: Some(Box::new(recording.lease)),
        };
        Some(Finished { exchange, short })
    }

    fn ended(&self, recording: &Recording, outcome: &Outcome, now: Instant) -> End {
        let (request, response) = (&recording.request_tap, &recording.response_tap);
        End {
            status: recording.response.as_ref().map(|response| response.status),
            reason: outcome.end,
            took: self.marks.at(now),
            first_byte: self.first_byte,
            bytes: request.bytes().max(response.bytes()),
        }
    }

    /// The outcome of a request whose future was dropped.
    pub fn dropped(&self) -> Outcome {
        let end = if self.said_last_word() {
            EndReason::Complete
        } else {
            EndReason::Shutdown
        };
        Outcome {
            end,
            error: None,
            upstream: None,
        }
    }
}

/// HTTP/2 bodies are cut from a read buffer, HTTP/1 bodies have their own.
fn memory_of(version: Version) -> Memory {
    if version >= Version::HTTP_2 {
        Memory::Sliced
    } else {
        Memory::Exact
    }
}

#[cfg(test)]
mod tests;
