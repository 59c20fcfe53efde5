//! Issuers that people run themselves, the one of this project included.

use serde_json::json;

use super::{JWT, UNTYPED, section};
use crate::topics::{Keys, jwk_with};
use crate::vector::Vector;

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    let sections = [keycloak, zitadel, authentik, hydra, fusionauth, countersign];
    sections.into_iter().flat_map(|section| section(keys)).collect()
}

fn keycloak(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "https://keycloak.example/realms/shop",
        "audience": "orders-api",
        "type": "JWT",
        "claims": { "typ": "Bearer" },
    });
    let vector = section(keys, "Keycloak", &options);
    let access = r#"{"exp":1700000900,"iat":1700000000,"jti":"onrtac:01c4",
        "iss":"https://keycloak.example/realms/shop","aud":["orders-api","account"],
        "sub":"f1c2a1f4","typ":"Bearer","azp":"web","sid":"9d1b","acr":"1",
        "allowed-origins":["https://shop.example"],"realm_access":{"roles":["staff"]},
        "resource_access":{"orders-api":{"roles":["reader"]}},"scope":"openid email profile",
        "email_verified":true,"preferred_username":"ana"}"#;
    let id = r#"{"exp":1700000900,"iat":1700000000,"auth_time":1700000000,"jti":"01c5",
        "iss":"https://keycloak.example/realms/shop","aud":"web","sub":"f1c2a1f4","typ":"ID",
        "azp":"web","sid":"9d1b","at_hash":"aFz1","acr":"1","email_verified":true,
        "preferred_username":"ana"}"#;
    let vectors = [
        vector("an access token is accepted", JWT, access, "ok"),
        vector("an ID token is refused", JWT, id, "audience_mismatch"),
        vector(
            "an ID token of the API's own client is refused",
            JWT,
            &id.replace(r#""web""#, r#""orders-api""#),
            "claim_mismatch",
        ),
        vector(
            "a token of another realm is refused",
            JWT,
            &access.replace("realms/shop", "realms/other"),
            "issuer_mismatch",
        ),
    ];
    // A realm's key set also has a key for encryption.
    let encryption = jwk_with(keys.second.jwk("encryption"), "use", "enc");
    let encryption = jwk_with(encryption, "alg", "RSA-OAEP");
    let set = [keys.main.jwk("main"), encryption];
    vectors.into_iter().map(|vector| vector.keys(&set)).collect()
}

fn zitadel(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "https://example.zitadel.cloud",
        "audience": "69234237810729019",
        "type": "JWT",
        "requiredClaims": ["jti"],
    });
    let vector = section(keys, "Zitadel", &options);
    vec![
        vector(
            "an access token is accepted",
            JWT,
            r#"{"iss":"https://example.zitadel.cloud","sub":"77776025198584418",
            "aud":["69234237810729234","69234237810729019"],"exp":1700000900,"iat":1700000000,
            "nbf":1700000000,"azp":"69234237810729234","jti":"69234237813329048",
            "urn:zitadel:iam:org:project:roles":{"reader":{"1":"example.com"}}}"#,
            "ok",
        ),
        vector(
            "an ID token is refused",
            JWT,
            r#"{"iss":"https://example.zitadel.cloud","sub":"77776025198584418",
            "aud":["69234237810729234","69234237810729019"],"exp":1700000900,"iat":1700000000,
            "auth_time":1700000000,"amr":["pwd"],"azp":"69234237810729234","nonce":"1",
            "preferred_username":"ana@example.com"}"#,
            "claim_missing",
        ),
        vector(
            "a token for another project is refused",
            JWT,
            r#"{"iss":"https://example.zitadel.cloud","sub":"77776025198584418",
            "aud":["69234237810729234","69234237810729020"],"exp":1700000900,"iat":1700000000,
            "nbf":1700000000,"azp":"69234237810729234","jti":"69234237813329048"}"#,
            "audience_mismatch",
        ),
    ]
}

fn authentik(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "https://authentik.example/application/o/shop/",
        "audience": "client-shop",
        "type": "JWT",
        "claims": { "azp": "client-shop" },
    });
    let vector = section(keys, "Authentik", &options);
    let id = r#"{"iss":"https://authentik.example/application/o/shop/","sub":"9f86d081884c",
        "aud":"client-shop","exp":1700000900,"iat":1700000000,"auth_time":1700000000,
        "acr":"goauthentik.io/providers/oauth2/default","amr":["pwd"],"sid":"60303ae2",
        "email":"ana@example.com"}"#;
    let access = id.replace(
        r#""email":"ana@example.com""#,
        r#""email":"ana@example.com","azp":"client-shop","uid":"kXnTm0""#,
    );
    vec![
        vector("an access token is accepted", JWT, &access, "ok"),
        vector("an ID token is refused", JWT, id, "claim_missing"),
        vector(
            "a token of another application is refused",
            JWT,
            &access.replace("/shop/", "/wiki/").replace("client-shop", "client-wiki"),
            "issuer_mismatch",
        ),
    ]
}

fn hydra(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "https://example.projects.oryapis.com/",
        "audience": "https://api.example/orders",
        "type": null,
        "scopeClaim": "scp",
    });
    let vector = section(keys, "Ory Hydra", &options);
    let access = r#"{"aud":["https://api.example/orders"],"client_id":"client-web",
        "exp":1700000900,"ext":{},"iat":1700000000,"iss":"https://example.projects.oryapis.com/",
        "jti":"0d5c","nbf":1700000000,"scp":["orders.read"],"sub":"ana"}"#;
    vec![
        vector("an access token is accepted", JWT, access, "ok"),
        vector(
            "an ID token is refused",
            JWT,
            r#"{"at_hash":"aFz1","aud":["client-web"],"auth_time":1700000000,"exp":1700000900,
            "iat":1700000000,"iss":"https://example.projects.oryapis.com/","jti":"0d5d",
            "rat":1700000000,"sid":"9d1b","sub":"ana"}"#,
            "audience_mismatch",
        ),
        vector(
            "a token for which no audience was requested is refused",
            UNTYPED,
            &access.replace(r#"["https://api.example/orders"]"#, "[]"),
            "claim_invalid",
        ),
    ]
}

fn fusionauth(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "acme.com",
        "audience": "e9fdb985-0000-4000-8000-000000000001",
        "type": "JWT",
        "claims": { "applicationId": "e9fdb985-0000-4000-8000-000000000001" },
    });
    let vector = section(keys, "FusionAuth", &options);
    let header = r#"{"alg":"RS256","typ":"JWT","gty":["authorization_code"],"kid":"main"}"#;
    let id = r#"{"aud":"e9fdb985-0000-4000-8000-000000000001","exp":1700000900,"iat":1700000000,
        "iss":"acme.com","sub":"00000000-0000-4000-8000-111111111111","jti":"2e2271d7",
        "authenticationType":"PASSWORD","scope":"offline_access profile openid",
        "sid":"0abe7139","auth_time":1700000000,"tid":"d7d09513-0000-4000-8000-000000000002"}"#;
    let access = id.replace(
        r#""scope""#,
        r#""applicationId":"e9fdb985-0000-4000-8000-000000000001","roles":[],"scope""#,
    );
    vec![
        vector("an access token is accepted", header, &access, "ok"),
        vector("an ID token is refused", header, id, "claim_missing"),
        vector(
            "a token of another application is refused",
            header,
            &access.replace("e9fdb985-", "aaaaaaaa-"),
            "audience_mismatch",
        ),
        vector(
            "a token signed with the HMAC key of the tenant is refused",
            r#"{"alg":"HS256","typ":"JWT","kid":"main"}"#,
            &access,
            "algorithm_not_allowed",
        ),
    ]
}

fn countersign(keys: &Keys) -> Vec<Vector> {
    let options = json!({ "issuer": "https://auth.example", "audience": "api" });
    let vector = section(keys, "Countersign", &options);
    let header = r#"{"alg":"RS256","typ":"at+jwt","kid":"main"}"#;
    let access = r#"{"iss":"https://auth.example","sub":"ana","aud":"api",
        "client_id":"client_first_party","scope":"read write","iat":1700000000,"exp":1700000900,
        "jti":"0d5c","sid":"9d1b"}"#;
    vec![
        vector("an access token is accepted", header, access, "ok"),
        vector(
            "an access token for another service is refused",
            header,
            &access.replace(r#""aud":"api""#, r#""aud":"billing""#),
            "audience_mismatch",
        ),
        vector(
            "a status list is refused",
            r#"{"alg":"RS256","typ":"statuslist+jwt","kid":"main"}"#,
            r#"{"sub":"https://auth.example/status/1","iat":1700000000,"exp":1700000900,
            "ttl":300,"status_list":{"bits":1,"lst":"eNrbuRgAAhcBXQ"}}"#,
            "type_mismatch",
        ),
    ]
}
