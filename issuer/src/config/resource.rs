//! The setting `audiences`, and the audiences of clients: resources (RFC 8707).

use std::str::FromStr;

use url::Url;

use super::value::Value;
use crate::error::Error;

/// The most bytes of a resource.
const MAX_BYTES: usize = 255;

/// An audience that a request for a token may name as `resource`: an absolute URI without a fragment
/// (RFC 8707 §2). It is compared byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource(String);

impl Resource {
    /// Returns the URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Resource {
    type Err = Error;

    /// # Errors
    ///
    /// [`Error::Config`] if the text is not such a URI.
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text).map_err(Error::Config)
    }
}

impl Value for Resource {
    fn parse(text: &str) -> Result<Self, String> {
        // RFC 3986 §2 and §4.3. The parser tolerates more.
        let is_of_uri = |b: u8| b.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&b);
        let is_uri = text.bytes().all(is_of_uri) && Url::parse(text).is_ok();
        if is_uri && text.len() <= MAX_BYTES {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "{text:?} is not a resource; expected an absolute URI of at most {MAX_BYTES} bytes, \
             without a fragment, such as https://orders.example"
        ))
    }

    fn show(&self) -> Option<String> {
        Some(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_uris_without_a_fragment_are_taken_as_they_are() {
        let longest = format!("urn:example:{}", "x".repeat(243));
        for text in [
            "https://orders.example",
            "https://orders.example/",
            "https://Orders.example:443/v1?tenant=%C3%A9&x=(1,2);",
            "http://[2001:db8::1]:8080/a",
            "urn:example:orders",
            "api://6e74172b-be56-4843-9ff4-e66a39bb12e3",
            &longest,
        ] {
            assert_eq!(text.parse::<Resource>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn another_text_is_refused_with_an_example() {
        let too_long = format!("urn:example:{}", "x".repeat(244));
        for text in [
            "",
            "api",
            "orders.example",
            "//orders.example",
            "/orders",
            "?x",
            "https://",
            "https://orders.example#",
            "https://orders.example#x",
            "https://orders.example/a b",
            " https://orders.example",
            "https://orders.example\n",
            "https://orders.example/é",
            "https://orders.example\\a",
            "https://orders.example/{a}",
            "urn:example:\u{7}",
            &too_long,
        ] {
            let refusal = text.parse::<Resource>().unwrap_err().to_string();
            assert!(refusal.ends_with("such as https://orders.example"), "{text}: {refusal}");
        }
    }
}
