//! The parameters of a request's query, and the pages of lists.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::http::Call;
use crate::http::form::Form;
use crate::http::reply::ApiError;

/// The items of a page, if the request names no number.
const LIMIT: u32 = 50;

/// The most items of a page.
const MOST: u32 = 200;

/// The part of a list that a request asks for.
pub(super) struct Paging {
    pub(super) limit: u32,
    /// The last item of the previous page, as [`cursor`] wrote it; `None` for the first page.
    pub(super) after: Option<String>,
}

impl Paging {
    pub(super) fn new(limit: Option<&str>, cursor: Option<&str>) -> Result<Self, ApiError> {
        let limit = match limit {
            Some(limit) => limit.parse().ok().filter(|limit| (1..=MOST).contains(limit)),
            None => Some(LIMIT),
        };
        let wrong =
            || ApiError::invalid_request(format!("limit must be a number from 1 to {MOST}"));
        let after = cursor.map(|cursor| read_cursor(cursor).ok_or_else(malformed_cursor));
        Ok(Self { limit: limit.ok_or_else(wrong)?, after: after.transpose()? })
    }
}

/// Reads the parameters of the query. Refuses control characters, because no database takes all of them.
pub(super) fn query(call: &Call) -> Result<Form, ApiError> {
    let form = Form::of_query(call)?;
    if form.values().any(|value| value.chars().any(char::is_control)) {
        return Err(ApiError::invalid_request("a parameter has a control character; leave it out"));
    }
    Ok(form)
}

/// Returns the cursor of the page after an item. Clients take it as opaque.
pub(super) fn cursor(last: &str) -> String {
    URL_SAFE_NO_PAD.encode(last)
}

fn read_cursor(cursor: &str) -> Option<String> {
    let last = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    (!last.chars().any(char::is_control)).then_some(last)
}

pub(super) fn malformed_cursor() -> ApiError {
    ApiError::invalid_request("cursor is malformed; send next_cursor of the previous page as it is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is() {
        for last in ["demo", "", "straße", "7"] {
            assert_eq!(read_cursor(&cursor(last)).as_deref(), Some(last));
        }
        for other in ["!", "ZGVtbw==", "AA", "_w", "ZGVtbw ", "\u{e9}"] {
            assert_eq!(read_cursor(other), None, "{other}");
        }
    }
}
