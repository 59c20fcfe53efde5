//! The claims as a type of the caller.

use alloc::string::{String, ToString};
use core::fmt::{self, Display};

use serde::{
    Deserialize, Deserializer, de,
    de::{
        DeserializeSeed, IntoDeserializer, MapAccess, Visitor,
        value::{BorrowedStrDeserializer, MapAccessDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

use crate::{
    ClaimFault, Error,
    json::{Document, Value},
    text::fill,
};

/// Deserializes the claims. The errors hold no part of the token, unlike those of `serde_json`.
pub(crate) fn claims_as<'a, T: Deserialize<'a>>(payload: &'a Document) -> Result<T, Error> {
    let claims = MapAccessDeserializer::new(Members::new(payload.members()));
    T::deserialize(claims).map_err(|Fault { path: claim, problem }| match problem {
        Problem::Missing => Error::ClaimMissing { claim },
        Problem::Unfit(found) => Error::ClaimInvalid {
            claim,
            found: found.unwrap_or(ClaimFault::Object),
            expected: "a value of the type that the service reads",
        },
    })
}

impl<'a> Deserializer<'a> for Value<'a> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        let kind = self.kind();
        let value = match kind {
            ClaimFault::Null => visitor.visit_unit(),
            ClaimFault::Boolean => visitor.visit_bool(self.as_scalar() == Some("true")),
            ClaimFault::Number => visit_number(self.as_number().unwrap_or_default(), visitor),
            ClaimFault::String => visitor.visit_borrowed_str(self.as_str().unwrap_or_default()),
            ClaimFault::Array => {
                let mut elements = SeqDeserializer::new(self.one_or_many());
                visitor.visit_seq(&mut elements).and_then(|value| elements.end().map(|()| value))
            }
            _ => visitor.visit_map(Members::new(self.members())),
        };
        value.map_err(|fault| fault.found(kind))
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let value = match self.as_str() {
            Some(variant) => visitor.visit_enum(BorrowedStrDeserializer::new(variant)),
            None if self.members().count() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(Members::new(self.members())))
            }
            // One member names the variant. A second one would be ignored.
            None => Err(de::Error::custom("")),
        };
        value.map_err(|fault| fault.found(self.kind()))
    }

    forward_to_deserialize_any! {
        <V: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier
    }
}

impl<'a> IntoDeserializer<'a, Fault> for Value<'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

fn visit_number<'a, V: Visitor<'a>>(number: &str, visitor: V) -> Result<V::Value, Fault> {
    if let Ok(number) = number.parse() {
        return visitor.visit_u64(number);
    }
    if let Ok(number) = number.parse() {
        return visitor.visit_i64(number);
    }
    match number.parse::<f64>() {
        Ok(number) if number.is_finite() => visitor.visit_f64(number),
        _ => Err(de::Error::custom("the number is too large")),
    }
}

/// The members of an object, in turn.
struct Members<'a, I> {
    members: I,
    /// The member whose name was read last.
    member: Option<(&'a str, Value<'a>)>,
}

impl<'a, I: Iterator<Item = (&'a str, Value<'a>)>> Members<'a, I> {
    const fn new(members: I) -> Self {
        Self { members, member: None }
    }
}

impl<'a, I: Iterator<Item = (&'a str, Value<'a>)>> MapAccess<'a> for Members<'a, I> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'a>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.member = self.members.next();
        let Some((name, _)) = self.member else { return Ok(None) };
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((name, value)) = self.member else {
            return Err(de::Error::custom("a value was read before its name"));
        };
        seed.deserialize(value).map_err(|fault| fault.within(name))
    }
}

/// The fault of a claim.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The claim, and the members within it, with periods between them.
    path: String,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    Missing,
    /// The value has another type, whose kind is known once its reader has returned.
    Unfit(Option<ClaimFault>),
}

impl Fault {
    fn found(self, kind: ClaimFault) -> Self {
        match self.problem {
            Problem::Unfit(None) => Self { problem: Problem::Unfit(Some(kind)), ..self },
            _ => self,
        }
    }

    /// Adds a member around the fault. A name that the token chose is shown only if it is short and
    /// plain.
    fn within(mut self, name: &str) -> Self {
        let is_plain = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_graphic());
        let name = if is_plain { name } else { "?" };
        self.path = match &*self.path {
            "" => name.to_string(),
            path => fill("%.%", &[name, path]),
        };
        self
    }
}

impl de::Error for Fault {
    /// Drops the message, which may quote a value.
    fn custom<T: Display>(_: T) -> Self {
        Self { path: String::new(), problem: Problem::Unfit(None) }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { path: field.to_string(), problem: Problem::Missing }
    }
}

impl de::StdError for Fault {}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{borrow::ToOwned, collections::BTreeMap, format, vec, vec::Vec};

    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;

    fn read<T: de::DeserializeOwned>(payload: &str) -> Result<T, Error> {
        claims_as(&Document::parse(payload.as_bytes().to_vec()).unwrap())
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Everything {
        sub: String,
        level: u8,
        offset: i64,
        ratio: f64,
        admin: bool,
        roles: Vec<Role>,
        address: Address,
        nickname: Option<String>,
        missing: Option<String>,
        nothing: Option<u8>,
        id: Id,
        pair: (u8, String),
        #[serde(flatten)]
        others: BTreeMap<String, Json>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Address {
        street: String,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Id(u64);

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Role {
        Reader,
        Writer { of: String },
    }

    const EVERYTHING: &str = r#"{"sub":"\u0061","level":7,"offset":-3,"ratio":1.5e1,"admin":true,
        "roles":["reader",{"writer":{"of":"docs"}}],"address":{"street":"s"},"nickname":"n",
        "nothing":null,"id":18446744073709551615,"pair":[1,"b"],"other":[1,{"a":null}]}"#;

    #[test]
    fn every_type_of_json_is_read() {
        let claims: Everything = read(EVERYTHING).unwrap();
        assert_eq!(claims, serde_json::from_str(EVERYTHING).unwrap());
        assert_eq!(claims.sub, "a");
        assert_eq!(claims.id, Id(u64::MAX));
    }

    #[test]
    fn claims_that_the_type_lacks_are_not_read() {
        let payload = r#"{"street":"s","big":1e400,"list":[1e400],"object":{"a":1e400}}"#;
        assert_eq!(read::<Address>(payload).unwrap(), Address { street: "s".to_owned() });
    }

    #[test]
    fn strings_can_be_borrowed() {
        #[derive(Deserialize)]
        struct Borrowed<'a> {
            sub: &'a str,
        }
        let payload = Document::parse(br#"{"sub":"a"}"#.to_vec()).unwrap();
        assert_eq!(claims_as::<Borrowed<'_>>(&payload).unwrap().sub, "a");
    }

    #[test]
    fn an_error_names_the_claim_and_not_its_value() {
        #[derive(Debug, Deserialize)]
        #[allow(dead_code, reason = "only the types matter")]
        struct Mine {
            sub: String,
            level: Option<u8>,
            address: Option<Address>,
            roles: Option<Vec<Role>>,
            pair: Option<(u8, u8)>,
        }
        let missing = |claim: &str| (claim.to_owned(), None);
        let unfit = |claim: &str, found| (claim.to_owned(), Some(found));
        for (payload, expected) in [
            ("{}", missing("sub")),
            (r#"{"sub":1}"#, unfit("sub", ClaimFault::Number)),
            (r#"{"sub":null}"#, unfit("sub", ClaimFault::Null)),
            (r#"{"sub":"","level":256}"#, unfit("level", ClaimFault::Number)),
            (r#"{"sub":"","level":1e400}"#, unfit("level", ClaimFault::Number)),
            (r#"{"sub":"","level":"secret"}"#, unfit("level", ClaimFault::String)),
            (r#"{"sub":"","address":{}}"#, missing("address.street")),
            (r#"{"sub":"","address":{"street":[]}}"#, unfit("address.street", ClaimFault::Array)),
            (r#"{"sub":"","roles":["secret"]}"#, unfit("roles", ClaimFault::String)),
            (r#"{"sub":"","roles":[{"writer":{}}]}"#, missing("roles.writer.of")),
            (
                r#"{"sub":"","roles":[{"writer":{"of":""},"reader":null}]}"#,
                unfit("roles", ClaimFault::Object),
            ),
            (r#"{"sub":"","pair":[1,2,3]}"#, unfit("pair", ClaimFault::Array)),
        ] {
            let error = read::<Mine>(payload).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
            let found = match error {
                Error::ClaimMissing { claim } => (claim, None),
                Error::ClaimInvalid { claim, found, .. } => (claim, Some(found)),
                other => panic!("{other:?}"),
            };
            assert_eq!(found, expected, "{payload}");
        }
    }

    #[test]
    fn an_error_shows_no_name_that_could_spoil_a_log() {
        for name in ["a\\nb", "a b", "\u{e9}", &"x".repeat(65)] {
            let payload = format!("{{\"{name}\":\"\"}}");
            let error = read::<BTreeMap<String, u8>>(&payload).unwrap_err();
            assert_eq!(error.claim(), Some("?"), "{payload}");
        }
    }

    #[test]
    fn a_type_that_is_no_object_is_refused() {
        assert!(read::<Vec<u8>>(EVERYTHING).is_err());
        assert_eq!(
            read::<BTreeMap<String, u8>>(r#"{"a":1}"#).unwrap().into_iter().collect::<Vec<_>>(),
            vec![("a".to_owned(), 1)]
        );
    }

    fn json() -> impl Strategy<Value = Json> {
        let scalar = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            any::<String>().prop_map(Json::from),
        ];
        scalar.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::btree_map("[a-z\\\\\"é]{0,4}", inner, 0..4)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_claims_are_read_as_serde_json_reads_them(
            members in prop::collection::btree_map("[a-z]{1,4}", json(), 0..6),
        ) {
            let claims: Json = members.into_iter().collect();
            prop_assert_eq!(read::<Json>(&claims.to_string()).unwrap(), claims);
        }
    }
}
