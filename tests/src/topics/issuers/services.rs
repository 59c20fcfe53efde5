//! Services for the login of users.

use serde_json::json;

use super::{JWT, UNTYPED, section};
use crate::topics::{Keys, jwk_with};
use crate::vector::Vector;

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    let sections =
        [auth0, okta, cognito_access, cognito_id, entra_one, entra_many, ping, workos, clerk];
    sections.into_iter().flat_map(|section| section(keys)).collect()
}

fn auth0(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "https://example.eu.auth0.com/",
        "audience": "https://api.example/orders",
        "type": ["JWT", "at+jwt"],
    });
    let vector = section(keys, "Auth0", &options);
    vec![
        vector(
            "an access token of the default profile is accepted",
            JWT,
            r#"{"iss":"https://example.eu.auth0.com/","sub":"auth0|0123456789",
            "aud":["https://api.example/orders","https://example.eu.auth0.com/userinfo"],
            "azp":"client-web","scope":"openid profile read:orders",
            "iat":1700000000,"exp":1700000900}"#,
            "ok",
        ),
        vector(
            "an access token of the RFC 9068 profile is accepted",
            r#"{"alg":"RS256","typ":"at+jwt","kid":"main"}"#,
            r#"{"iss":"https://example.eu.auth0.com/","sub":"auth0|0123456789",
            "aud":["https://api.example/orders","https://example.eu.auth0.com/userinfo"],
            "client_id":"client-web","jti":"73WakrfVbN","scope":"openid read:orders",
            "permissions":["read:orders"],"iat":1700000000,"exp":1700000900}"#,
            "ok",
        ),
        vector(
            "an ID token is refused",
            JWT,
            r#"{"iss":"https://example.eu.auth0.com/","sub":"auth0|0123456789",
            "aud":"client-web","nonce":"n-0S6","email":"ana@example.com","email_verified":true,
            "iat":1700000000,"exp":1700000900}"#,
            "audience_mismatch",
        ),
        vector(
            "a token of another tenant is refused",
            JWT,
            r#"{"iss":"https://other.eu.auth0.com/","sub":"auth0|0123456789",
            "aud":["https://api.example/orders"],"azp":"client-web","scope":"read:orders",
            "iat":1700000000,"exp":1700000900}"#,
            "issuer_mismatch",
        ),
    ]
}

fn okta(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "https://example.okta.com/oauth2/default",
        "audience": "api://default",
        "type": null,
        "scopeClaim": "scp",
    });
    let vector = section(keys, "Okta", &options);
    vec![
        vector(
            "an access token is accepted",
            UNTYPED,
            r#"{"ver":1,"jti":"AT.0mP4JKAZX1iACIT4","iss":"https://example.okta.com/oauth2/default",
            "aud":"api://default","sub":"ana@example.com","iat":1700000000,"exp":1700000900,
            "cid":"client-web","uid":"00u1example","scp":["openid","orders.read"]}"#,
            "ok",
        ),
        vector(
            "an ID token is refused",
            UNTYPED,
            r#"{"ver":1,"jti":"ID.4eAWJOCMB3SX8XewDfVR","sub":"00u1example",
            "iss":"https://example.okta.com/oauth2/default","aud":"client-web",
            "iat":1700000000,"exp":1700000900,"amr":["pwd"],"auth_time":1700000000,
            "at_hash":"cpqKfdQA5eH891Ff5oJr_Q","name":"Ana"}"#,
            "audience_mismatch",
        ),
        vector(
            "a token of another authorization server is refused",
            UNTYPED,
            r#"{"ver":1,"jti":"AT.0mP4JKAZX1iACIT4","iss":"https://example.okta.com/oauth2/other",
            "aud":"api://default","sub":"ana@example.com","iat":1700000000,"exp":1700000900,
            "cid":"client-web","scp":["orders.read"]}"#,
            "issuer_mismatch",
        ),
    ]
}

/// The payload of an access token of Cognito.
const COGNITO_ACCESS: &str = r#"{"sub":"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    "cognito:groups":["staff"],"iss":"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_example",
    "version":2,"client_id":"client-web","origin_jti":"aaaaaaaa-bbbb","event_id":"64f513be",
    "token_use":"access","scope":"openid orders/read","auth_time":1700000000,
    "iat":1700000000,"exp":1700000900,"jti":"aaaaaaaa-cccc","username":"ana"}"#;

/// The payload of an ID token of Cognito.
const COGNITO_ID: &str = r#"{"sub":"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee","email_verified":true,
    "cognito:groups":["staff"],"iss":"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_example",
    "cognito:username":"ana","nonce":"abcdefg","origin_jti":"aaaaaaaa-bbbb","aud":"client-web",
    "event_id":"64f513be","token_use":"id","auth_time":1700000000,
    "iat":1700000000,"exp":1700000900,"jti":"aaaaaaaa-dddd","email":"ana@example.com"}"#;

fn cognito_access(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_example",
        "audience": null,
        "type": null,
        "claims": { "client_id": "client-web", "token_use": "access" },
    });
    let vector = section(keys, "Amazon Cognito, access tokens", &options);
    vec![
        vector("an access token is accepted", UNTYPED, COGNITO_ACCESS, "ok"),
        vector("an ID token is refused", UNTYPED, COGNITO_ID, "claim_missing"),
        vector(
            "a token of another client is refused",
            UNTYPED,
            &COGNITO_ACCESS.replace("client-web", "client-other"),
            "claim_mismatch",
        ),
        vector(
            "a token of another user pool is refused",
            UNTYPED,
            &COGNITO_ACCESS.replace("eu-west-1_example", "eu-west-1_other"),
            "issuer_mismatch",
        ),
    ]
}

fn cognito_id(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_example",
        "audience": "client-web",
        "type": null,
        "claims": { "token_use": "id" },
    });
    let vector = section(keys, "Amazon Cognito, ID tokens", &options);
    vec![
        vector("an ID token is accepted", UNTYPED, COGNITO_ID, "ok"),
        vector("an access token is refused", UNTYPED, COGNITO_ACCESS, "claim_missing"),
        vector(
            "an ID token of another client is refused",
            UNTYPED,
            &COGNITO_ID.replace("client-web", "client-other"),
            "audience_mismatch",
        ),
    ]
}

/// The payload of an access token of Entra ID, version 2.0, of the tenant `aaaaaaaa-…`.
const ENTRA_ACCESS: &str = r#"{"aud":"6e74172b-0000-4000-8000-000000000001",
    "iss":"https://login.microsoftonline.com/aaaaaaaa-0000-4000-8000-000000000001/v2.0",
    "iat":1700000000,"nbf":1700000000,"exp":1700000900,"aio":"AXQAi","azp":"client-web",
    "azpacr":"0","name":"Ana","oid":"690222be-0000-4000-8000-000000000002",
    "preferred_username":"ana@example.com","rh":"I","scp":"access_as_user orders.read",
    "sub":"HKZpfaHyWadeOouYlitjrI","tid":"aaaaaaaa-0000-4000-8000-000000000001",
    "uti":"fqiBqXLPj0eQa82S","ver":"2.0"}"#;

fn entra_one(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "https://login.microsoftonline.com/aaaaaaaa-0000-4000-8000-000000000001/v2.0",
        "audience": "6e74172b-0000-4000-8000-000000000001",
        "type": "JWT",
        "scope": "access_as_user",
        "scopeClaim": "scp",
    });
    let vector = section(keys, "Microsoft Entra ID, one tenant", &options);
    vec![
        vector("an access token is accepted", JWT, ENTRA_ACCESS, "ok"),
        vector(
            "an ID token of the same registration is refused",
            JWT,
            &ENTRA_ACCESS.replace(r#""scp":"access_as_user orders.read","#, r#""nonce":"1","#),
            "scope_insufficient",
        ),
        vector(
            "a token of another tenant is refused",
            JWT,
            &ENTRA_ACCESS.replace("aaaaaaaa-", "cccccccc-"),
            "issuer_mismatch",
        ),
        vector(
            "a token for another API is refused",
            JWT,
            &ENTRA_ACCESS.replace("6e74172b-", "00000003-"),
            "audience_mismatch",
        ),
    ]
}

fn entra_many(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "https://login.microsoftonline.com/{tid}/v2.0",
        "audience": "6e74172b-0000-4000-8000-000000000001",
        "type": "JWT",
        "claims": {
            "tid": ["aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000001"],
        },
        "scope": "access_as_user",
        "scopeClaim": "scp",
    });
    let vector = section(keys, "Microsoft Entra ID, many tenants", &options);
    let vectors = [
        vector("a token of the first tenant is accepted", JWT, ENTRA_ACCESS, "ok"),
        vector(
            "a token of the second tenant is accepted",
            JWT,
            &ENTRA_ACCESS.replace("aaaaaaaa-", "bbbbbbbb-"),
            "ok",
        ),
        vector(
            "a token of a tenant that is not listed is refused",
            JWT,
            &ENTRA_ACCESS.replace("aaaaaaaa-", "cccccccc-"),
            "claim_mismatch",
        ),
        vector(
            "a token whose tid is not the tenant of its iss is refused",
            JWT,
            &ENTRA_ACCESS.replace(r#""tid":"aaaaaaaa-"#, r#""tid":"bbbbbbbb-"#),
            "issuer_mismatch",
        ),
    ];
    // The keys of Entra have no alg, and members of their own.
    let key = jwk_with(keys.main.jwk("main"), "alg", json!(null));
    let key = jwk_with(key, "issuer", "https://login.microsoftonline.com/{tenantid}/v2.0");
    vectors.into_iter().map(|vector| vector.keys(std::slice::from_ref(&key))).collect()
}

fn ping(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "https://auth.pingone.eu/dddddddd-0000-4000-8000-000000000001/as",
        "audience": "https://api.example/orders",
        "type": null,
    });
    let vector = section(keys, "PingOne", &options);
    let access = r#"{"client_id":"client-web",
        "iss":"https://auth.pingone.eu/dddddddd-0000-4000-8000-000000000001/as",
        "iat":1700000000,"exp":1700000900,"aud":["https://api.example/orders"],
        "scope":"openid orders:read","sub":"eeeeeeee-0000-4000-8000-000000000001",
        "sid":"ffffffff-0000-4000-8000-000000000001"}"#;
    vec![
        vector("an access token is accepted", UNTYPED, access, "ok"),
        vector(
            "an access token of 2027 with its typ is accepted",
            r#"{"alg":"RS256","typ":"at+jwt","kid":"main"}"#,
            access,
            "ok",
        ),
        vector(
            "an ID token is refused",
            UNTYPED,
            r#"{"iss":"https://auth.pingone.eu/dddddddd-0000-4000-8000-000000000001/as",
            "sub":"eeeeeeee-0000-4000-8000-000000000001","aud":"client-web",
            "iat":1700000000,"exp":1700000900,"auth_time":1700000000,"nonce":"1"}"#,
            "audience_mismatch",
        ),
    ]
}

fn workos(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": ["https://api.workos.com", "https://api.workos.com/"],
        "audience": null,
        "type": null,
        "claims": { "org_id": ["org_example1", "org_example2"] },
    });
    let vector = section(keys, "WorkOS AuthKit", &options);
    let access = r#"{"iss":"https://api.workos.com","sub":"user_example","org_id":"org_example1",
        "role":"member","roles":["member"],"permissions":["orders:read"],
        "entitlements":["audit-logs"],"sid":"session_example","jti":"01HQSXZXPPFPKMDD",
        "exp":1700000900,"iat":1700000000}"#;
    vec![
        vector("an access token is accepted", UNTYPED, access, "ok"),
        vector(
            "a token of another organization is refused",
            UNTYPED,
            &access.replace("org_example1", "org_other"),
            "claim_mismatch",
        ),
        vector(
            "a token without an organization is refused",
            UNTYPED,
            &access.replace(r#""org_id":"org_example1","#, ""),
            "claim_missing",
        ),
    ]
}

fn clerk(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "https://clerk.shop.example",
        "audience": null,
        "type": "JWT",
        "claims": { "azp": "https://shop.example" },
    });
    let vector = section(keys, "Clerk", &options);
    let session = r#"{"azp":"https://shop.example","exp":1700000900,"fva":[7,-1],"iat":1700000000,
        "iss":"https://clerk.shop.example","jti":"1234567890","nbf":1700000000,"sid":"sess_123",
        "sub":"user_123","v":2,"sts":"active"}"#;
    vec![
        vector("a session token is accepted", JWT, session, "ok"),
        vector(
            "a token of another application is refused",
            JWT,
            &session.replace(r#""azp":"https://shop.example""#, r#""azp":"https://evil.example""#),
            "claim_mismatch",
        ),
        vector(
            "a token without azp is refused",
            JWT,
            &session.replace(r#""azp":"https://shop.example","#, ""),
            "claim_missing",
        ),
    ]
}
