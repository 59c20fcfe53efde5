//! Tokens that identify a program: a job of a pipeline, or a pod.

use serde_json::json;

use super::{JWT, UNTYPED, section};
use crate::topics::Keys;
use crate::vector::Vector;

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    [github(keys), gitlab(keys), kubernetes(keys)].concat()
}

fn github(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "https://token.actions.githubusercontent.com",
        "audience": "https://deploy.example",
        "type": "JWT",
        "claims": { "repository_id": "74", "ref": "refs/heads/main" },
    });
    let vector = section(keys, "GitHub Actions", &options);
    let header = r#"{"typ":"JWT","alg":"RS256","x5t":"main","kid":"main"}"#;
    let job = r#"{"jti":"example-id","sub":"repo:example-org/shop:ref:refs/heads/main",
        "aud":"https://deploy.example","ref":"refs/heads/main","sha":"example-sha",
        "repository":"example-org/shop","repository_owner":"example-org","actor_id":"12",
        "repository_visibility":"private","repository_id":"74","repository_owner_id":"65",
        "run_id":"example-run-id","run_number":"10","run_attempt":"2",
        "runner_environment":"github-hosted","actor":"ana","workflow":"deploy","head_ref":"",
        "base_ref":"","event_name":"push","ref_type":"branch",
        "job_workflow_ref":"example-org/shop/.github/workflows/deploy.yml@refs/heads/main",
        "iss":"https://token.actions.githubusercontent.com",
        "nbf":1699999400,"exp":1700000900,"iat":1700000000}"#;
    vec![
        vector("a token of a job is accepted", header, job, "ok"),
        vector(
            "a token of another repository is refused",
            header,
            &job.replace(r#""repository_id":"74""#, r#""repository_id":"75""#),
            "claim_mismatch",
        ),
        vector(
            "a token of another branch is refused",
            header,
            &job.replace("refs/heads/main", "refs/heads/try"),
            "claim_mismatch",
        ),
        vector(
            "a token for another service is refused",
            header,
            &job.replace("https://deploy.example", "https://github.com/example-org"),
            "audience_mismatch",
        ),
    ]
}

fn gitlab(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "https://gitlab.example.com",
        "audience": "https://deploy.example",
        "type": null,
        "claims": { "project_id": "20", "ref_protected": "true" },
    });
    let vector = section(keys, "GitLab CI", &options);
    let job = r#"{"namespace_id":"72","namespace_path":"example-group","project_id":"20",
        "project_path":"example-group/shop","user_id":"1","user_login":"ana",
        "user_email":"ana@example.com","pipeline_id":"574","pipeline_source":"push",
        "job_id":"302","ref":"main","ref_type":"branch","ref_path":"refs/heads/main",
        "ref_protected":"true","runner_id":1,"runner_environment":"self-hosted",
        "sha":"714a629c0b401fdce83e847fc9589983fc6f46bc","project_visibility":"private",
        "ci_config_ref_uri":null,"ci_config_sha":null,"jti":"235b3a54-b797",
        "iss":"https://gitlab.example.com","iat":1700000000,"nbf":1699999995,"exp":1700003600,
        "sub":"project_path:example-group/shop:ref_type:branch:ref:main",
        "aud":"https://deploy.example"}"#;
    vec![
        vector("an ID token of a job is accepted", JWT, job, "ok"),
        vector(
            "a token of another project is refused",
            JWT,
            &job.replace(r#""project_id":"20""#, r#""project_id":"21""#),
            "claim_mismatch",
        ),
        vector(
            "a token of an unprotected branch is refused",
            JWT,
            &job.replace(r#""ref_protected":"true""#, r#""ref_protected":"false""#),
            "claim_mismatch",
        ),
    ]
}

fn kubernetes(keys: &Keys) -> Vec<Vector> {
    let options = json!({
        "issuer": "https://kubernetes.default.svc.cluster.local",
        "audience": "orders",
        "type": null,
        "claims": { "sub": "system:serviceaccount:shop:checkout" },
    });
    let vector = section(keys, "Kubernetes service accounts", &options);
    let pod = r#"{"aud":["orders"],"exp":1700003600,"iat":1700000000,
        "iss":"https://kubernetes.default.svc.cluster.local","jti":"aed34954-b33a",
        "kubernetes.io":{"namespace":"shop","node":{"name":"node-1","uid":"58456cb0"},
        "pod":{"name":"checkout-69cbfb9798-jv9gn","uid":"778a530c"},
        "serviceaccount":{"name":"checkout","uid":"a087d5a0"},"warnafter":1700003607},
        "nbf":1700000000,"sub":"system:serviceaccount:shop:checkout"}"#;
    vec![
        vector("a token of a pod is accepted", UNTYPED, pod, "ok"),
        vector(
            "a token of another service account is refused",
            UNTYPED,
            &pod.replace("shop:checkout", "shop:default"),
            "claim_mismatch",
        ),
        vector(
            "a token for the API server is refused",
            UNTYPED,
            &pod.replace(r#"["orders"]"#, r#"["https://kubernetes.default.svc.cluster.local"]"#),
            "audience_mismatch",
        ),
    ]
}
