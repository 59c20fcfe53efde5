//! The compact serialization: size and parts.

use super::Keys;
use crate::object::Object;
use crate::token::{base64url, signed};
use crate::vector::Vector;

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    let good = signed(&keys.main, Object::header().text(), Object::claims().text());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let malformed = |name: &str, token: String| keys.vector(name, token, "token_malformed");

    let mut vectors = vec![
        malformed("an empty token is malformed", String::new()),
        malformed("one part is malformed", header.into()),
        malformed("two parts are malformed", format!("{header}.{payload}")),
        malformed("four parts are malformed", format!("{good}.{signature}")),
        malformed("five parts are malformed", format!("{good}.{signature}.{signature}")),
        malformed("two dots alone are malformed", "..".into()),
        malformed("a dot alone is malformed", ".".into()),
        malformed("an empty header is malformed", format!(".{payload}.{signature}")),
        malformed("an empty payload is malformed", format!("{header}..{signature}")),
        malformed("an empty signature is malformed", format!("{header}.{payload}.")),
        malformed("a dot before the token is malformed", format!(".{good}")),
        malformed("a dot after the token is malformed", format!("{good}.")),
        malformed("a doubled dot is malformed", format!("{header}..{payload}.{signature}")),
        malformed("a token written twice is malformed", format!("{good}{good}")),
        malformed("two tokens with a comma between are malformed", format!("{good},{good}")),
        malformed("a token after its scheme is malformed", format!("Bearer {good}")),
        malformed("a token in quotes is malformed", format!("\"{good}\"")),
        malformed(
            "the JSON serialization is malformed",
            format!(
                r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#
            ),
        ),
        malformed(
            "parts that are not encoded are malformed",
            format!("{}.{}.{signature}", Object::header().text(), Object::claims().text()),
        ),
        malformed(
            "percent-encoded dots are malformed",
            format!("{header}%2E{payload}%2E{signature}"),
        ),
        malformed(
            "a full-width dot is malformed",
            format!("{header}\u{ff0e}{payload}\u{ff0e}{signature}"),
        ),
    ];

    for (what, space) in [
        ("a space", " "),
        ("a tab", "\t"),
        ("a newline", "\n"),
        ("a carriage return with newline", "\r\n"),
        ("a NUL", "\0"),
        ("a no-break space", "\u{a0}"),
        ("a zero-width space", "\u{200b}"),
        ("a byte order mark", "\u{feff}"),
    ] {
        vectors.extend([
            malformed(&format!("{what} before the token is malformed"), format!("{space}{good}")),
            malformed(&format!("{what} after the token is malformed"), format!("{good}{space}")),
            malformed(
                &format!("{what} after the first dot is malformed"),
                format!("{header}.{space}{payload}.{signature}"),
            ),
        ]);
    }

    // The default limit is 16 KiB. A claim fills the payload up to a given length of the token.
    let padded = |length: usize| {
        let fixed = signed(&keys.main, Object::header().text(), filled(0)).len();
        let estimate = (length - fixed) * 3 / 4;
        (estimate - 4..estimate + 4)
            .map(|fill| signed(&keys.main, Object::header().text(), filled(fill)))
            .find(|token| token.len() == length)
            .expect("some payload makes a token of that length")
    };
    let size = good.len() as u64;
    vectors.extend([
        keys.vector("a token of 16384 bytes, the default limit, is accepted", padded(16384), "ok"),
        keys.vector("a token of 16385 bytes is too large", padded(16385), "token_too_large"),
        keys.good("a token as long as maxTokenBytes is accepted", "ok")
            .option("maxTokenBytes", size),
        keys.good("a token one byte longer than maxTokenBytes is too large", "token_too_large")
            .option("maxTokenBytes", size - 1),
        keys.good("every token is too large for a maxTokenBytes of 1", "token_too_large")
            .option("maxTokenBytes", 1),
        keys.vector(
            "the size is checked before anything else",
            "no token ".repeat(20),
            "token_too_large",
        )
        .option("maxTokenBytes", 100),
        keys.vector(
            "the size counts bytes of UTF-8, not characters",
            "é".repeat(51),
            "token_too_large",
        )
        .option("maxTokenBytes", 100),
        keys.vector(
            "text of exactly maxTokenBytes bytes of UTF-8 is malformed, not too large",
            "é".repeat(50),
            "token_malformed",
        )
        .option("maxTokenBytes", 100),
        malformed(
            "a JWE of five parts is malformed",
            format!(
                "{}.{}.{}.{}.{}",
                base64url(r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","typ":"at+jwt","kid":"main"}"#),
                base64url([7; 256]),
                base64url([7; 12]),
                payload,
                base64url([7; 16]),
            ),
        ),
    ]);
    vectors
}

fn filled(length: usize) -> String {
    Object::claims().set("fill", &format!("\"{}\"", "x".repeat(length))).text()
}
