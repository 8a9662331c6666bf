//! An API that is not known: bodies as they are.

use crate::decode::body::Document;
use crate::decode::defect::Notes;
use crate::decode::{content, json};
use crate::{Counts, Exchange, Level, Plan, Request, Text};

use super::judge::judge;
use super::{Reading, llm};

/// Paths whose answers count tokens that nobody has used.
const COUNTING: [&str; 3] = ["/count_tokens", ":countTokens", "/responses/input_tokens"];

pub(super) fn read(
    exchange: &Exchange,
    request: &Document,
    response: &Document,
    notes: &mut Notes,
) -> Reading {
    let mut reading = Reading::of_request(exchange, request, None, notes);
    reading.outputs = content::of(response, &exchange.plan, None, notes);
    reading.failure = llm::refusal(exchange, response);
    let path = exchange.request.uri.path();
    let counts = COUNTING.iter().any(|end| path.ends_with(end));
    let mut hints = llm::Hints::default();
    judge(exchange, request, response, &mut reading, |piece| {
        if !counts {
            hints.take(piece);
        }
    });
    if !counts {
        hints.put(exchange, request, response, &mut reading);
    }
    reading
}

/// What a request without a body asks for.
pub(super) fn target(request: &Request, plan: &Plan) -> Text {
    let mut target = Vec::from(b"{\"method\":");
    json::push_quoted(&mut target, request.method.as_str());
    target.extend_from_slice(b",\"path\":");
    json::push_quoted(&mut target, request.uri.path());
    if let Some(query) = request.uri.query().filter(|_| plan.level == Level::Full) {
        // Counted where it stands as an attribute.
        let query = plan.redaction.query(query, &mut Counts::default());
        target.extend_from_slice(b",\"query\":");
        json::push_quoted(&mut target, &query);
    }
    target.push(b'}');
    Text::trusted(target.into())
}
