//! Documents that are no JWK Set, as an endpoint may serve them. No vector can hold them: there the
//! set is a JSON value, and of a JavaScript type that has an array `keys`.

use countersign_verifier::KeySet;

#[test]
fn a_document_that_is_no_key_set_is_invalid() {
    for document in [
        "",
        " ",
        "null",
        "[]",
        "{}",
        "\"keys\"",
        r#"{"keys":null}"#,
        r#"{"keys":{}}"#,
        r#"{"keys":"main"}"#,
        r#"{"keys":[1]}"#,
        r#"{"Keys":[]}"#,
        r#"{"kty":"RSA","kid":"main","n":"AQAB","e":"AQAB"}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[],"\u006beys":[]}"#,
        r#"{"keys":[{"kty":"RSA","kty":"EC"}]}"#,
        r#"{"keys":[]}x"#,
        r#"{"keys":[]"#,
        "{\"keys\":[]}\0",
        "\u{feff}{\"keys\":[]}",
        "<!doctype html><title>503</title>",
        "-----BEGIN PUBLIC KEY-----",
    ] {
        let error = KeySet::from_json(document).err().map(|error| error.code());
        assert_eq!(error, Some("jwks_invalid"), "{document}");
    }
    assert!(KeySet::from_json(r#"{"keys":[]}"#).is_ok());
}
