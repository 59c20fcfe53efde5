//! JSON text from JavaScript values, and JavaScript values from JSON text, by serde-wasm-bindgen.

use std::{borrow::Cow, fmt};

use js_sys::Number;
use serde::{
    Deserializer as _, Serialize, Serializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
    ser::{Error as _, SerializeMap as _},
};
use serde_json::value::RawValue;
use wasm_bindgen::JsValue;

/// The deepest nesting of a value. The verifier refuses deeper JSON text, and a value that contains
/// itself has no end.
const MAX_DEPTH: usize = 64;

/// Appends the JSON text of a value. Refuses a value that JSON cannot express, in words that follow
/// a subject such as "the key set".
pub(super) fn push_value(text: &mut String, value: JsValue) -> Result<(), &'static str> {
    let writer = Writer { text, depth: 0 };
    writer.deserialize(serde_wasm_bindgen::Deserializer::from(value)).map_err(|_| {
        "is not a value of JSON, or nested too deeply: expected strings, finite numbers, booleans, \
         null, arrays and objects"
    })
}

/// Appends a JSON string.
pub(super) fn push_string(text: &mut String, string: &str) {
    text.push_str(&serde_json::to_string(string).unwrap_or_default());
}

/// Returns the JavaScript value of a Rust value, in which maps are objects.
pub(super) fn to_value(value: &impl Serialize) -> JsValue {
    // Nothing here fails to serialize: strings, booleans, and JSON whose numbers are `f64`.
    value.serialize(&serde_wasm_bindgen::Serializer::json_compatible()).unwrap_or_default()
}

/// Reads a value and writes it as JSON text.
struct Writer<'a> {
    text: &'a mut String,
    depth: usize,
}

impl Writer<'_> {
    fn inner<E: serde::de::Error>(&mut self) -> Result<Writer<'_>, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom("nested too deeply"));
        }
        Ok(Writer { text: &mut *self.text, depth: self.depth + 1 })
    }

    fn push(self, text: &str) {
        self.text.push_str(text);
    }
}

impl<'de> DeserializeSeed<'de> for Writer<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Writer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.push("null");
        Ok(())
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<(), E> {
        self.push(if boolean { "true" } else { "false" });
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.push(&number.to_string());
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.push(&number.to_string());
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        if !number.is_finite() {
            return Err(E::custom("not finite"));
        }
        // As `JSON.stringify` writes it: large numbers are compared as they are written.
        let text = Number::from(number)
            .to_string_with_radix(10)
            .map_err(|_| E::custom("not in base 10"))?;
        self.push(&String::from(text));
        Ok(())
    }

    fn visit_str<E>(self, string: &str) -> Result<(), E> {
        push_string(self.text, string);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        self.text.push('[');
        let start = self.text.len();
        loop {
            let before = self.text.len();
            if before > start {
                self.text.push(',');
            }
            if elements.next_element_seed(self.inner()?)?.is_none() {
                self.text.truncate(before);
                break;
            }
        }
        self.push("]");
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.text.push('{');
        let start = self.text.len();
        while let Some(name) = members.next_key::<String>()? {
            if self.text.len() > start {
                self.text.push(',');
            }
            push_string(self.text, &name);
            self.text.push(':');
            members.next_value_seed(self.inner()?)?;
        }
        self.push("}");
        Ok(())
    }
}

/// A JSON text that the verifier has read. It serializes as the value that `JSON.parse` returns: all
/// numbers are `f64`, and members stay in their order. A member `__proto__`, which would change the
/// object's prototype, is refused by the verifier.
pub(super) struct Json<'a>(&'a RawValue);

impl<'a> Json<'a> {
    /// Returns `None` for a text that is not JSON. The verifier has none.
    pub(super) fn new(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.get();
        match text.as_bytes().first() {
            Some(b'{') => serde_json::Deserializer::from_str(text)
                .deserialize_map(Members(serializer))
                .map_err(S::Error::custom),
            Some(b'[') => {
                let elements: Vec<&RawValue> = read(text)?;
                serializer.collect_seq(elements.into_iter().map(Json))
            }
            Some(b'"') => serializer.serialize_str(&read::<Cow<'_, str>, _>(text)?),
            Some(b't' | b'f') => serializer.serialize_bool(text == "true"),
            Some(b'n') => serializer.serialize_unit(),
            _ => serializer.serialize_f64(text.parse().map_err(S::Error::custom)?),
        }
    }
}

fn read<'a, T: serde::Deserialize<'a>, E: serde::ser::Error>(text: &'a str) -> Result<T, E> {
    serde_json::from_str(text).map_err(E::custom)
}

/// Reads the members of an object, and serializes them in their order.
struct Members<S>(S);

impl<'de, S: Serializer> Visitor<'de> for Members<S> {
    type Value = S::Ok;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<S::Ok, A::Error> {
        let mut map = self.0.serialize_map(None).map_err(A::Error::custom)?;
        while let Some((name, value)) = members.next_entry::<Cow<'de, str>, &RawValue>()? {
            map.serialize_entry(&name, &Json(value)).map_err(A::Error::custom)?;
        }
        map.end().map_err(A::Error::custom)
    }
}

#[cfg(all(test, target_family = "wasm"))]
#[allow(clippy::unwrap_used, reason = "clippy does not recognise this as tests")]
mod tests {
    use js_sys::JSON;
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[wasm_bindgen_test]
    fn a_value_is_written_as_json_stringify_writes_it() {
        for text in [
            r#"{"b":[1,-1,0.5,1e+21,1e-7,9007199254740991,9007199254740992],"a":{"":null},"1":true}"#,
            r#"[[],{},[[]],"\"\\/\u0000\u001f\u2028\ud83e\udd8a",false]"#,
            "1.7976931348623157e+308",
        ] {
            let value = JSON::parse(text).unwrap();
            let mut written = String::new();
            push_value(&mut written, value.clone()).unwrap();
            assert_eq!(written, String::from(JSON::stringify(&value).unwrap()));
        }
    }

    #[wasm_bindgen_test]
    fn the_depth_of_a_value_is_limited() {
        let nested = |depth| JSON::parse(&("[".repeat(depth) + &"]".repeat(depth))).unwrap();
        assert!(push_value(&mut String::new(), nested(MAX_DEPTH)).is_ok());
        assert!(push_value(&mut String::new(), nested(MAX_DEPTH + 2)).is_err());
    }
}
