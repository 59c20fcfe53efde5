//! ID tokens of companies where people have accounts. Their access tokens are for themselves.

use serde_json::json;

use super::{JWT, UNTYPED, section};
use crate::topics::Keys;
use crate::vector::Vector;

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    [google(keys), firebase(keys), apple(keys)].concat()
}

fn google(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": ["https://accounts.google.com", "accounts.google.com"],
        "audience": "1234-example.apps.googleusercontent.com",
        "type": null,
        "claims": { "hd": "example.com" },
    });
    let vector = section(keys, "Google", &options);
    let id = r#"{"iss":"https://accounts.google.com","azp":"1234-example.apps.googleusercontent.com",
        "aud":"1234-example.apps.googleusercontent.com","sub":"110169484474386276334",
        "hd":"example.com","email":"ana@example.com","email_verified":true,
        "iat":1700000000,"exp":1700000900,"nonce":"0394852-3190485-2490358"}"#;
    vec![
        vector("an ID token is accepted", JWT, id, "ok"),
        vector(
            "an ID token with an iss without https is accepted",
            UNTYPED,
            &id.replace("https://accounts", "accounts"),
            "ok",
        ),
        vector(
            "an ID token of another client is refused",
            JWT,
            &id.replace("1234-example", "5678-other"),
            "audience_mismatch",
        ),
        vector(
            "an account outside the company is refused",
            JWT,
            &id.replace(r#""hd":"example.com","#, ""),
            "claim_missing",
        ),
    ]
}

fn firebase(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "https://securetoken.google.com/example-project",
        "audience": "example-project",
        "type": null,
        "requiredClaims": ["sub", "auth_time"],
    });
    let vector = section(keys, "Firebase Authentication", &options);
    let id = r#"{"iss":"https://securetoken.google.com/example-project","aud":"example-project",
        "auth_time":1700000000,"user_id":"uid-1","sub":"uid-1","iat":1700000000,"exp":1700000900,
        "email":"ana@example.com","email_verified":true,
        "firebase":{"identities":{"email":["ana@example.com"]},"sign_in_provider":"password"}}"#;
    vec![
        vector("an ID token is accepted", JWT, id, "ok"),
        vector(
            "a session cookie is refused",
            JWT,
            &id.replace("securetoken", "session.firebase"),
            "issuer_mismatch",
        ),
        vector(
            "an ID token of another project is refused",
            JWT,
            &id.replace("example-project", "other-project"),
            "issuer_mismatch",
        ),
    ]
}

fn apple(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "https://appleid.apple.com",
        "audience": "com.example.shop",
        "type": null,
    });
    let vector = section(keys, "Apple", &options);
    let id = r#"{"iss":"https://appleid.apple.com","aud":"com.example.shop","exp":1700000900,
        "iat":1700000000,"sub":"000544.5e201aec537347aeb79d23cbc345170a.1321",
        "nonce":"4b1f","nonce_supported":true,"email":"x1@privaterelay.appleid.com",
        "email_verified":"true","is_private_email":"true","real_user_status":2}"#;
    vec![
        vector("an identity token is accepted", UNTYPED, id, "ok"),
        vector(
            "an identity token of another app is refused",
            UNTYPED,
            &id.replace("com.example.shop", "com.example.game"),
            "audience_mismatch",
        ),
    ]
}
