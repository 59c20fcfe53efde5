//! The base64url decoder agrees with the `base64` crate, and accepts one text only for the same
//! bytes.

#![no_main]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let decoded = countersign_verifier::fuzzing::base64url(text).ok();
    assert_eq!(decoded, URL_SAFE_NO_PAD.decode(text).ok());
    if let Some(bytes) = decoded {
        assert_eq!(URL_SAFE_NO_PAD.encode(bytes), text);
    }
});
