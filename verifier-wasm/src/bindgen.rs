//! The class `Verifier` for programs that use wasm-bindgen. Options, key sets and claims are
//! JavaScript values.

mod json;

use core::{cell::RefCell, time::Duration};

use countersign_verifier::{Error, KeySet, Part, Policy, Verified};
use js_sys::{Array, Date, Map, Object};
use serde::Serialize;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};

use json::Json;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("bindgen/types.d.ts");

/// Verifies access tokens by one policy and one key set.
///
/// Not checked: revocation, and a binding of the token to its sender.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Verifier {
    /// Not borrowed while JavaScript runs: nothing would end the borrow if a getter of the caller
    /// throws. For the same reason no method takes `&mut self`.
    inner: RefCell<countersign_verifier::Verifier>,
}

#[wasm_bindgen]
impl Verifier {
    /// Makes a verifier without keys.
    ///
    /// # Errors
    /// A `VerifyError` with the code `options_invalid` for a member that is unknown, missing, of the
    /// wrong type or out of range. Its `reason` is the member's name.
    #[wasm_bindgen(constructor)]
    pub fn new(
        #[wasm_bindgen(unchecked_param_type = "PolicyOptions")] options: &JsValue,
    ) -> Result<Self, JsValue> {
        let policy = policy(options).map_err(|error| refusal(&error, None))?;
        Ok(Self { inner: countersign_verifier::Verifier::new(policy).into() })
    }

    /// Replaces the key set. Takes a JWK Set, or its JSON text.
    ///
    /// # Errors
    /// A `VerifyError` with the code `jwks_invalid`. The keys in use then stay.
    #[wasm_bindgen(js_name = setKeys)]
    pub fn set_keys(
        &self,
        #[wasm_bindgen(unchecked_param_type = "JwkSet | string")] jwks: JsValue,
    ) -> Result<(), JsValue> {
        let keys = key_set(jwks).map_err(|error| refusal(&error, None))?;
        self.inner.borrow_mut().set_keys(keys);
        Ok(())
    }

    /// Drops the key set: `verify` then refuses with `jwks_unavailable`.
    #[wasm_bindgen(js_name = dropKeys)]
    pub fn drop_keys(&self) {
        self.inner.borrow_mut().clear_keys();
    }

    /// Returns true if a key of the set can check a token.
    #[wasm_bindgen(js_name = hasUsableKeys)]
    #[must_use]
    pub fn has_usable_keys(&self) -> bool {
        self.inner.borrow().has_usable_keys()
    }

    /// Verifies a token in compact form, without `Bearer `, at the time `now` in seconds since the
    /// UNIX epoch, which by default is the system's.
    ///
    /// # Errors
    /// A `VerifyError` with any code; `jwks_unavailable` without a key set, and `options_invalid`
    /// only if `now` is not a time.
    #[wasm_bindgen(unchecked_return_type = "Verified")]
    pub fn verify(
        &self,
        #[wasm_bindgen(unchecked_param_type = "string")] token: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "number")] now: &JsValue,
    ) -> Result<JsValue, JsValue> {
        let mut claims = None;
        let verified = self.verified(token, now, &mut claims);
        let verified = verified.map_err(|error| refusal(&error, claims.as_deref()))?;
        Ok(json::to_value(&Parts {
            header: Json::new(verified.header_json()),
            payload: Json::new(verified.payload_json()),
        }))
    }
}

impl Verifier {
    /// Verifies a token. Writes its claims to `claims` once the signature is known to be good.
    fn verified(
        &self,
        token: &JsValue,
        now: &JsValue,
        claims: &mut Option<String>,
    ) -> Result<Verified, Error> {
        let now = time(now)?;
        let token = token
            .as_string()
            .ok_or(Error::TokenMalformed { part: Part::Token, problem: "is not a string" })?;
        let inner = self.inner.borrow();
        let signed = inner.verify_signature(&token)?;
        *claims = Some(signed.payload_json().into());
        signed.validate(now)
    }
}

/// The result of `verify`.
#[derive(Serialize)]
struct Parts<'a> {
    header: Option<Json<'a>>,
    payload: Option<Json<'a>>,
}

/// The year 5138 in seconds, but March 1973 in milliseconds: a later time counts milliseconds.
const LATEST_SECOND: f64 = 1e11;

/// Returns the time that the caller passes, or the system's. JavaScript would convert other values to
/// numbers, such as an empty text to 0, at which no token has expired.
fn time(now: &JsValue) -> Result<Duration, Error> {
    let now = if now.is_undefined() { Some(Date::now() / 1000.0) } else { now.as_f64() };
    let now = now.filter(|now| *now <= LATEST_SECOND);
    match now.map(Duration::try_from_secs_f64) {
        Some(Ok(time)) => Ok(time),
        _ => Err(option_invalid("now", "is not a time in seconds since the UNIX epoch")),
    }
}

/// Reads the options. A member that is undefined counts as absent.
fn policy(options: &JsValue) -> Result<Policy, Error> {
    if !options.is_object() || Array::is_array(options) {
        return Err(option_invalid("options", "is not an object"));
    }
    let mut text = String::from("{");
    for entry in Object::entries(options.unchecked_ref()) {
        let entry = Array::from(&entry);
        let (name, value) = (entry.get(0).as_string().unwrap_or_default(), entry.get(1));
        if value.is_undefined() {
            continue;
        }
        if !is_plain(&value) {
            return Err(option_invalid(&name, "is not a plain object"));
        }
        if text.len() > 1 {
            text.push(',');
        }
        json::push_string(&mut text, &name);
        text.push(':');
        json::push_value(&mut text, value).map_err(|problem| option_invalid(&name, problem))?;
    }
    Policy::from_json(&(text + "}"))
}

/// Returns false for an object with members that it inherits, such as the getters of a class: they
/// would be ignored. Another realm has another `Object.prototype`.
fn is_plain(value: &JsValue) -> bool {
    if !value.is_object() || Array::is_array(value) || value.has_type::<Map>() {
        return true;
    }
    let prototype = Object::get_prototype_of(value);
    prototype.is_null() || Object::get_prototype_of(&prototype).is_null()
}

/// Reads a key set. Text is read as it is, so that a member that is there twice is found.
fn key_set(jwks: JsValue) -> Result<KeySet, Error> {
    let text = jwks.as_string().map_or_else(
        || {
            let mut text = String::new();
            json::push_value(&mut text, jwks).map(|()| text)
        },
        Ok,
    );
    let text = text.map_err(|problem| Error::JwksInvalid { reason: "json", problem })?;
    KeySet::from_json(&text)
}

fn option_invalid(option: &str, problem: &'static str) -> Error {
    Error::OptionsInvalid { option: option.into(), problem }
}

/// Makes the `VerifyError` of the npm package, as an `Error` with the same members.
fn refusal(error: &Error, claims: Option<&str>) -> JsValue {
    let members = json::to_value(&Members {
        name: "VerifyError",
        code: error.code(),
        stage: error.stage().name(),
        reason: error.reason(),
        claim: error.claim(),
        retryable: error.retryable(),
        www_authenticate: error.www_authenticate(),
        claims: claims.and_then(Json::new),
    });
    let object = js_sys::Error::new(&error.message());
    Object::assign(&object, members.unchecked_ref()).into()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Members<'a> {
    name: &'a str,
    code: &'a str,
    stage: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<&'a str>,
    retryable: bool,
    www_authenticate: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<Json<'a>>,
}
