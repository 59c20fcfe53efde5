//! Forms (`application/x-www-form-urlencoded`): decoded strictly, then read into the types that the
//! OpenAPI document shows.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, Deserialize, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::Call;
use super::body::{FORM, is_type, missing};
use super::reply::ApiError;

/// The most parameters that a form may have: each is compared with those before it.
const MAX_PARAMETERS: usize = 32;

/// The only parameter that a form may have more than once (RFC 8707 §2).
const REPEATABLE: &str = "resource";

/// The parameters of a form.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads the call's body as a form.
    ///
    /// RFC 6749 §3.2: no parameter may occur twice, except `resource`. An empty one counts as absent.
    pub(super) fn read(call: &Call) -> Result<Self, ApiError> {
        if !is_type(&call.headers, FORM) {
            return Err(ApiError::unsupported_media_type(FORM));
        }
        Self::decode(&call.body, "body")
    }

    /// Reads the call's query in the same way.
    pub(super) fn of_query(call: &Call) -> Result<Self, ApiError> {
        Self::decode(call.query.as_bytes(), "query")
    }

    fn decode(text: &[u8], place: &str) -> Result<Self, ApiError> {
        let malformed =
            || ApiError::invalid_request(format!("the {place} is not a well-formed form"));
        let mut form: Vec<(String, String)> = Vec::new();
        for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let mut part = || decode(parts.next().unwrap_or_default());
            if form.len() == MAX_PARAMETERS {
                let description =
                    format!("the {place} has more than {MAX_PARAMETERS} parameters; send fewer");
                return Err(ApiError::invalid_request(description));
            }
            let (name, value) = part().zip(part()).ok_or_else(malformed)?;
            if name != REPEATABLE && form.iter().any(|(earlier, _)| *earlier == name) {
                return Err(ApiError::invalid_request(
                    "a parameter occurs twice; send each parameter once",
                ));
            }
            form.push((name, value));
        }
        form.retain(|(_, value)| !value.is_empty());
        Ok(Self(form))
    }

    /// Returns the parameters as a `T`. Ignores those that it does not have. The values of `resource`
    /// are a list.
    pub(super) fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ApiError> {
        let is_repeatable = |(name, _): &&(String, String)| name == REPEATABLE;
        let single = self.0.iter().filter(|pair| !is_repeatable(pair));
        let single = single.map(|(name, value)| (Text::One(name), Text::One(value)));
        let all = self.0.iter().filter(is_repeatable).map(|(_, value)| Text::One(value));
        let all: Vec<_> = all.collect();
        let list = (!all.is_empty()).then_some((Text::One(REPEATABLE), Text::Many(all)));
        let parameters = MapDeserializer::new(single.chain(list));
        T::deserialize(parameters).map_err(|FormError(e)| e)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, value)| value.as_str())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }
}

/// A name, a value, or the values of a parameter that may be repeated. serde reads them without a copy.
enum Text<'a> {
    One(&'a str),
    Many(Vec<Self>),
}

impl<'a> IntoDeserializer<'a, FormError> for Text<'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = FormError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        match self {
            Self::One(text) => visitor.visit_borrowed_str(text),
            Self::Many(texts) => visitor.visit_seq(SeqDeserializer::new(texts.into_iter())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The refusal of a form, made from the error that serde reports.
#[derive(Debug)]
struct FormError(ApiError);

impl de::Error for FormError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(ApiError::invalid_request(message.to_string()))
    }

    fn missing_field(name: &'static str) -> Self {
        Self(missing(name))
    }

    /// The only parameter with listed values is `grant_type`, which chooses the variant of
    /// [`super::token::TokenRequest`].
    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        let description = format!("grant_type must be {}", expected.join(" or "));
        Self(ApiError::bad_request("unsupported_grant_type", description))
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.description())
    }
}

impl std::error::Error for FormError {}

/// Decodes `application/x-www-form-urlencoded`; `None` if an escape is cut short or the result is not
/// UTF-8.
pub(super) fn decode(text: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(*byte).to_digit(16));
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

    use super::*;
    use crate::http::token::TokenRequest;

    fn form(body: &'static str) -> Result<Form, ApiError> {
        Form::read(&Call {
            headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(FORM))]),
            body: Bytes::from_static(body.as_bytes()),
            ..Call::for_tests()
        })
    }

    #[test]
    fn a_form_may_repeat_resource_alone() {
        for (body, expected) in [
            ("grant_type=client_credentials", &[][..]),
            ("resource=&grant_type=client_credentials&resource=", &[]),
            ("resource=urn%3Aa&grant_type=client_credentials", &["urn:a"]),
            (
                "resource=b&scope=x&resource=a&grant_type=client_credentials&resource=b",
                &["b", "a", "b"],
            ),
        ] {
            let form = form(body).unwrap();
            let TokenRequest::ClientCredentials { resource, .. } = form.parse().unwrap() else {
                panic!("{body}")
            };
            assert_eq!(resource, expected, "{body}");
        }
        for body in ["scope=a&scope=a", "Resource=a&Resource=a", "resource=a&x=&x="] {
            assert!(form(body).err().unwrap().description().contains("occurs twice"), "{body}");
        }
    }

    #[test]
    fn a_form_value_is_decoded_strictly() {
        let cases = [
            ("a+b%20c", Some("a b c")),
            ("%C3%a9", Some("é")),
            ("", Some("")),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%ff", None),
            ("\u{e9}", Some("é")),
        ];
        for (text, expected) in cases {
            assert_eq!(decode(text.as_bytes()).as_deref(), expected, "{text}");
        }
    }
}
