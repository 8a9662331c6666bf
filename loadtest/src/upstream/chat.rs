//! OpenAI's chat completions, complete or as `chat.completion.chunk` events.
//!
//! The text cycles through a fixed list of words, one token each. A request with `tools` gets a call
//! of the first tool, with its arguments streamed one token at a time, unless it forbids calls
//! (`tool_choice: "none"`) or its last message is a tool's result. Prompt tokens are the words of
//! the messages. Format: <https://platform.openai.com/docs/api-reference/chat>.

mod completion;
mod request;

use bytes::Bytes;
use http::StatusCode;

use self::completion::Completion;
use self::request::ChatRequest;
use super::reply::Reply;

/// Responds with `tokens` tokens, or with fewer if the request sets a lower limit.
pub(super) fn answer(body: &Bytes, tokens: usize) -> Reply {
    let request: ChatRequest = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => {
            let message = format!("the body is not a chat completions request: {error}");
            return Reply::error(StatusCode::BAD_REQUEST, "invalid_request_error", &message);
        }
    };
    let completion = Completion::new(&request, body, tokens);
    if request.stream {
        Reply::events(completion.events(request.wants_usage()))
    } else {
        Reply::json(StatusCode::OK, &completion.whole())
    }
}
