use serde::Deserialize;
use utoipa::ToSchema;

/// The form of `/revoke` and `/introspect`.
#[derive(Deserialize, ToSchema)]
pub(super) struct TokenForm<'a> {
    #[schema(min_length = 1, example = "AVbk…")]
    pub(super) token: &'a str,
}
