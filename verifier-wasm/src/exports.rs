//! The module of the npm package. Options, key set and token go in as text; claims or an error come
//! out as text.
//!
//! The module imports nothing. It exports its memory and the functions below, which take an
//! [`Instance`]. The caller makes room for a text with [`input`], writes it there, and calls a
//! function. The function's result starts at [`output`], is [`output_length`] bytes long, and stays
//! valid until the next call. Functions that can refuse return true on success. On false, the
//! output is an error.
//!
//! The functions take and return numbers only, so they need no generated bindings, which would
//! enlarge the module.

#![allow(unsafe_code, reason = "exporting a function by its name counts as unsafe")]

use alloc::{boxed::Box, vec::Vec};
use core::{str, time::Duration};

use countersign_verifier::{Error, KeySet, Policy, Verifier};

#[cfg(target_family = "wasm")]
use talc::{
    cell::TalcSyncCell,
    wasm::{WasmBinning, WasmGrowAndClaim},
};

/// Smaller and faster than the allocator of std. The module has one thread. `WasmGrowAndClaim` never
/// extends a heap, which takes less code: few blocks outlive a call.
#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: TalcSyncCell<WasmGrowAndClaim, WasmBinning> =
    TalcSyncCell::new_wasm(WasmGrowAndClaim);

/// No input leads here. JavaScript would see a `WebAssembly.RuntimeError`.
#[cfg(target_family = "wasm")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// A policy, a key set, and the buffers for texts.
#[derive(Debug, Default)]
pub struct Instance {
    verifier: Option<Verifier>,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// Makes an instance. It refuses everything until [`set_policy`].
#[unsafe(no_mangle)]
pub extern "C" fn create() -> Box<Instance> {
    Box::default()
}

/// Frees the instance's memory.
#[unsafe(no_mangle)]
pub extern "C" fn destroy(instance: Box<Instance>) {
    drop(instance);
}

/// Makes room for an input of `length` bytes and returns its address.
#[unsafe(no_mangle)]
pub extern "C" fn input(instance: &mut Instance, length: usize) -> *mut u8 {
    instance.input.resize(length, 0);
    instance.input.as_mut_ptr()
}

/// Returns the address of the output.
#[unsafe(no_mangle)]
pub extern "C" fn output(instance: &Instance) -> *const u8 {
    instance.output.as_ptr()
}

/// Returns the length of the output in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn output_length(instance: &Instance) -> usize {
    instance.output.len()
}

/// Sets the policy to the input, the JSON text of the options. Refuses with `options_invalid`.
#[unsafe(no_mangle)]
pub extern "C" fn set_policy(instance: &mut Instance) -> bool {
    instance.answer(|text, verifier, _| {
        *verifier = Some(Verifier::new(Policy::from_json(text)?));
        Ok(())
    })
}

/// Replaces the key set with the input, the JSON text of a JWK Set. Refuses with `jwks_invalid`,
/// and then keeps the key set in use.
#[unsafe(no_mangle)]
pub extern "C" fn set_keys(instance: &mut Instance) -> bool {
    instance.answer(|text, verifier, _| {
        let keys = KeySet::from_json(text)?;
        if let Some(verifier) = verifier {
            verifier.set_keys(keys);
        }
        Ok(())
    })
}

/// Drops the key set: [`verify`] refuses with `jwks_unavailable` until the next [`set_keys`].
#[unsafe(no_mangle)]
pub extern "C" fn drop_keys(instance: &mut Instance) {
    if let Some(verifier) = &mut instance.verifier {
        verifier.clear_keys();
    }
}

/// Returns true if the key set has a key that can check a token. Returns false without a key set.
/// A fetched set without such a key is a fault of the issuer, like a failed fetch.
#[unsafe(no_mangle)]
pub extern "C" fn has_usable_keys(instance: &Instance) -> bool {
    instance.verifier.as_ref().is_some_and(Verifier::has_usable_keys)
}

/// Verifies the input, a token, at the time `now` in seconds since the UNIX epoch. The output is
/// the JSON text of its claims. A `now` that is not a valid time counts as the end of time: every
/// token is then expired.
///
/// Refuses with every code except `options_invalid`; with `jwks_unavailable` before the first
/// [`set_keys`] and after [`drop_keys`]. The error has `claims` if the signature was good.
#[unsafe(no_mangle)]
pub extern "C" fn verify(instance: &mut Instance, now: f64) -> bool {
    let now = Duration::try_from_secs_f64(now).unwrap_or(Duration::MAX);
    instance.answer(|token, verifier, output| {
        let verifier = verifier.as_ref().ok_or(Error::JwksUnavailable)?;
        let signed = verifier.verify_signature(token)?;
        output.extend(signed.payload_json().as_bytes());
        signed.validate(now).map(drop)
    })
}

/// Returns the number of the kernel for common keys, in the order of `KernelInUse`: portable, wide,
/// relaxed. Tests report it.
#[unsafe(no_mangle)]
pub extern "C" fn kernel_in_use() -> u32 {
    countersign_verifier::kernel_in_use() as u32
}

impl Instance {
    /// Runs `call` on the input. If it succeeds, the text that it wrote stays in the output. If it
    /// fails, that text becomes the `claims` of the error.
    fn answer(
        &mut self,
        call: impl FnOnce(&str, &mut Option<Verifier>, &mut Vec<u8>) -> Result<(), Error>,
    ) -> bool {
        self.output.clear();
        // JavaScript always encodes text as UTF-8.
        let text = str::from_utf8(&self.input).unwrap_or_default();
        let answer = call(text, &mut self.verifier, &mut self.output);
        if let Err(error) = &answer {
            self.output = error_json(error, &self.output);
        }
        answer.is_ok()
    }
}

/// Returns the JSON text of an error: an object with the members `code`, `message` and, if the error
/// has them, `reason`, `claim`, `scope` (the required one) and `claims`. The code decides about the
/// other members of the npm package's `VerifyError`. `claims` is JSON text, or empty.
fn error_json(error: &Error, claims: &[u8]) -> Vec<u8> {
    // Most errors without claims fit, so the text is not moved while it grows.
    let mut json = Vec::with_capacity(1024);
    push_member(&mut json, r#"{"code":"#, Some(error.code()));
    push_member(&mut json, r#","message":"#, Some(&error.message()));
    push_member(&mut json, r#","reason":"#, error.reason());
    push_member(&mut json, r#","claim":"#, error.claim());
    if let Error::ScopeInsufficient { required, .. } = error {
        push_member(&mut json, r#","scope":"#, Some(required));
    }
    if !claims.is_empty() {
        json.extend(br#","claims":"#);
        json.extend(claims);
    }
    json.push(b'}');
    json
}

/// Appends a member that has a value. `name` is its name in quotes, with the characters around it.
fn push_member(json: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        json.extend(name.as_bytes());
        push_quoted(json, value);
    }
}

/// Appends a JSON string (RFC 8259 §7). Messages contain names and values of options, which can be
/// any text.
fn push_quoted(json: &mut Vec<u8>, text: &str) {
    json.push(b'"');
    for mut byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            json.push(b'\\');
        } else if byte < b' ' {
            json.extend(if byte < 0x10 { br"\u000" } else { br"\u001" });
            byte = match byte & 0xf {
                digit @ 0..=9 => b'0' + digit,
                digit => b'a' - 10 + digit,
            };
        }
        json.push(byte);
    }
    json.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the input, calls, and reads the output, as JavaScript does.
    fn call(
        instance: &mut Instance,
        text: &str,
        function: impl FnOnce(&mut Instance) -> bool,
    ) -> (bool, String) {
        let pointer = input(instance, text.len());
        assert_eq!(pointer, instance.input.as_mut_ptr());
        instance.input.copy_from_slice(text.as_bytes());
        let accepted = function(instance);
        assert_eq!(output(instance), instance.output.as_ptr());
        assert_eq!(output_length(instance), instance.output.len());
        (accepted, String::from_utf8(instance.output.clone()).unwrap())
    }

    fn code(error: &str) -> String {
        let error: serde_json::Value = serde_json::from_str(error).unwrap();
        error["code"].as_str().unwrap().to_owned()
    }

    #[test]
    fn an_instance_refuses_in_the_order_of_its_setup() {
        let mut instance = create();
        let (accepted, error) = call(&mut instance, "a.b.c", |it| verify(it, 0.0));
        assert_eq!((accepted, &*code(&error)), (false, "jwks_unavailable"));
        let (accepted, error) = call(&mut instance, "{}", |it| set_policy(it));
        assert_eq!((accepted, &*code(&error)), (false, "options_invalid"));
        let policy = r#"{"issuer":"https://auth.example","audience":"api"}"#;
        assert_eq!(call(&mut instance, policy, |it| set_policy(it)), (true, String::new()));
        let (accepted, error) = call(&mut instance, "{}", |it| set_keys(it));
        assert_eq!((accepted, &*code(&error)), (false, "jwks_invalid"));
        assert_eq!(call(&mut instance, r#"{"keys":[]}"#, |it| set_keys(it)), (true, String::new()));
        for now in [0.0, f64::NAN, f64::INFINITY, -1.0] {
            let (accepted, error) = call(&mut instance, "a.b.c", |it| verify(it, now));
            assert_eq!((accepted, &*code(&error)), (false, "token_malformed"));
        }
        destroy(instance);
    }

    #[test]
    fn a_verifier_without_its_keys_refuses_until_the_next_key_set() {
        let mut instance = create();
        drop_keys(&mut instance);
        let policy = r#"{"issuer":"https://auth.example","audience":"api"}"#;
        assert!(call(&mut instance, policy, |it| set_policy(it)).0);
        let token = "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.AAAA";
        let refusal =
            |instance: &mut Instance| code(&call(instance, token, |it| verify(it, 0.0)).1);
        assert_eq!(refusal(&mut instance), "jwks_unavailable");
        for _ in 0..2 {
            assert!(call(&mut instance, r#"{"keys":[]}"#, |it| set_keys(it)).0);
            assert_eq!(refusal(&mut instance), "key_not_found");
            drop_keys(&mut instance);
            assert_eq!(refusal(&mut instance), "jwks_unavailable");
        }
    }

    #[test]
    fn a_key_set_without_usable_keys_is_accepted_and_recognised() {
        let mut instance = create();
        assert!(!has_usable_keys(&instance));
        let policy = r#"{"issuer":"https://auth.example","audience":"api"}"#;
        assert!(call(&mut instance, policy, |it| set_policy(it)).0);
        assert!(!has_usable_keys(&instance));
        // A modulus of 2048 bits, all of them set.
        let n = format!("{}_w", "_".repeat(340));
        let usable = format!(r#"{{"keys":[{{"kty":"RSA","n":"{n}","e":"AQAB"}}]}}"#);
        for (keys, expected) in [(&*usable, true), (r#"{"keys":[]}"#, false), (&usable, true)] {
            assert!(call(&mut instance, keys, |it| set_keys(it)).0);
            assert_eq!(has_usable_keys(&instance), expected, "{keys}");
        }
        drop_keys(&mut instance);
        assert!(!has_usable_keys(&instance));
    }

    #[test]
    fn any_text_becomes_a_json_string() {
        let every =
            (0..=0x2ff).filter_map(char::from_u32).collect::<String>() + "\u{1f98a}\u{2028}";
        let mut json = Vec::new();
        push_quoted(&mut json, &every);
        assert_eq!(serde_json::from_slice::<String>(&json).unwrap(), every);
    }

    #[test]
    fn an_error_has_all_its_members() {
        let error = Error::ClaimMissing { claim: "\"sub\"".into() };
        let json = error_json(&error, br#"{"iss":"x"}"#);
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let message = error.to_string();
        assert_eq!(
            value,
            serde_json::json!({
                "code": "claim_missing",
                "message": message,
                "claim": "\"sub\"",
                "claims": { "iss": "x" },
            })
        );
        let bare: serde_json::Value =
            serde_json::from_slice(&error_json(&Error::JwksUnavailable, b"")).unwrap();
        assert_eq!(
            bare,
            serde_json::json!({
                "code": "jwks_unavailable",
                "message": "no key set is loaded",
            })
        );
        let scope = Error::ScopeInsufficient { claim: "scp".into(), required: "read".into() };
        let scope: serde_json::Value = serde_json::from_slice(&error_json(&scope, b"")).unwrap();
        assert_eq!((&scope["claim"], &scope["scope"]), (&"scp".into(), &"read".into()));
        let option = Error::OptionsInvalid { option: "\"clock\"".into(), problem: "is unknown" };
        let option: serde_json::Value = serde_json::from_slice(&error_json(&option, b"")).unwrap();
        assert_eq!(option["reason"], "\"clock\"");
    }
}
