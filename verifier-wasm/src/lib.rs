//! The boundary between `countersign-verifier` and JavaScript: options, key set and token in as
//! text, claims or error out as text. The logic is on either side of it, never here.
//!
//! Text, because one string crosses faster than the objects it stands for, and because the npm
//! package needs plain JavaScript objects that `JSON.parse` makes best.

// Without std a panic needs no messages, no hook and no formatting, which are bytes to download.
#![cfg_attr(target_family = "wasm", no_std)]
#![allow(unsafe_code, reason = "the wasm-bindgen macro writes it; none stands in this file")]

extern crate alloc;

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
};
use core::time::Duration;

use countersign_verifier::{Error, KeySet, Policy};
use wasm_bindgen::prelude::*;

/// Smaller and faster than std's. The module has one thread.
#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// Nothing that a caller gives leads here; JavaScript would see a `WebAssembly.RuntimeError`.
#[cfg(target_family = "wasm")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// A policy and the key set that it is applied with.
///
/// Whatever its functions throw is a string: the JSON text of `{ code, stage, message, claim?,
/// retryable, wwwAuthenticate, claims? }`, which are the members of the npm package's
/// `VerifyError`.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Verifier(countersign_verifier::Verifier);

#[wasm_bindgen]
impl Verifier {
    /// Makes a verifier without keys from the JSON text of the policy options.
    ///
    /// # Errors
    /// `options_invalid`.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &str) -> Result<Self, JsValue> {
        let policy = Policy::from_json(options).map_err(|error| thrown(&error, None))?;
        Ok(Self(countersign_verifier::Verifier::new(policy)))
    }

    /// Replaces the key set, given as JSON text.
    ///
    /// # Errors
    /// `jwks_invalid`; the key set in use then stays.
    #[wasm_bindgen(js_name = setKeys)]
    pub fn set_keys(&mut self, jwks: &str) -> Result<(), JsValue> {
        let keys = KeySet::from_json(jwks).map_err(|error| thrown(&error, None))?;
        self.0.set_keys(keys);
        Ok(())
    }

    /// Verifies a token at the time `now`, in seconds since the UNIX epoch, and gives the JSON text
    /// of `[header, payload]`.
    ///
    /// A `now` that is no time counts as the end of time, when every token is expired.
    ///
    /// # Errors
    /// Every code but `options_invalid`; `jwks_unavailable` before the first
    /// [`set_keys`](Self::set_keys). With `claims` where the signature was good.
    pub fn verify(&self, token: &str, now: f64) -> Result<String, JsValue> {
        let now = Duration::try_from_secs_f64(now).unwrap_or(Duration::MAX);
        let signed = self.0.verify_signature(token).map_err(|error| thrown(&error, None))?;
        signed
            .validate(self.0.policy(), now)
            .map_err(|error| thrown(&error, Some(signed.payload_json())))?;
        let (header, payload) = (signed.header_json(), signed.payload_json());
        let mut json = String::with_capacity(header.len() + payload.len() + 3);
        json.push('[');
        json += header;
        json.push(',');
        json += payload;
        json.push(']');
        Ok(json)
    }
}

/// What JavaScript catches. `claims` is JSON text.
fn thrown(error: &Error, claims: Option<&str>) -> JsValue {
    JsValue::from_str(&error_json(error, claims))
}

fn error_json(error: &Error, claims: Option<&str>) -> String {
    let mut json = r#"{"code":""#.to_owned() + error.code();
    json += r#"","stage":""#;
    json += error.stage().name();
    json += r#"","message":"#;
    push_quoted(&mut json, &error.to_string());
    json += r#","retryable":"#;
    json += if error.retryable() { "true" } else { "false" };
    json += r#","wwwAuthenticate":"#;
    push_quoted(&mut json, &error.www_authenticate());
    if let Some(claim) = error.claim() {
        json += r#","claim":"#;
        push_quoted(&mut json, claim);
    }
    if let Some(claims) = claims {
        json += r#","claims":"#;
        json += claims;
    }
    json.push('}');
    json
}

/// Appends a JSON string (RFC 8259 §7). Messages hold names and values of options, and those hold
/// anything.
fn push_quoted(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..='\u{1f}' => {
                *json += r"\u00";
                json.extend([4, 0].map(|shift| {
                    char::from_digit(u32::from(character) >> shift & 0xf, 16).unwrap_or('0')
                }));
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::{error_json, push_quoted};
    use countersign_verifier::Error;

    #[test]
    fn what_is_thrown_is_json_whatever_the_text() {
        let every =
            (0..=0x2ff).filter_map(char::from_u32).collect::<String>() + "\u{1f98a}\u{2028}";
        let mut json = String::new();
        push_quoted(&mut json, &every);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), every);
    }

    #[test]
    fn every_member_stands_in_what_is_thrown() {
        let error = Error::ClaimMissing { claim: "\"sub\"".into() };
        let json = error_json(&error, Some(r#"{"iss":"x"}"#));
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "code": "claim_missing",
                "stage": "claims",
                "message": error.to_string(),
                "claim": "\"sub\"",
                "retryable": false,
                "wwwAuthenticate": error.www_authenticate(),
                "claims": { "iss": "x" },
            })
        );
        let bare: serde_json::Value =
            serde_json::from_str(&error_json(&Error::JwksUnavailable, None)).unwrap();
        assert_eq!(bare["retryable"], true);
        assert!(bare.get("claim").is_none() && bare.get("claims").is_none());
    }
}
