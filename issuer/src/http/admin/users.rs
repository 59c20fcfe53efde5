use std::sync::Arc;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use zeroize::Zeroizing;

use super::query::{Paging, cursor, query};
use super::{Access, admin, body, boolean, idempotency_key, some_of};
use crate::custom_claims::CustomClaims;
use crate::http::body::{optional_text, text};
use crate::http::reply::{self, ApiError, ErrorBody, Reply};
use crate::http::{Api, Call};
use crate::scope;
use crate::service::admin::{Credential, NewUser};
use crate::users::{self, UserChange};

/// A user.
#[derive(Serialize, ToSchema)]
pub(super) struct User<'a> {
    /// The `sub` claim of the user's access tokens.
    #[schema(example = "user_4Gq…")]
    sub: &'a str,
    #[schema(example = "alice")]
    name: &'a str,
    #[schema(example = "read write")]
    scope: &'a str,
    locked: bool,
    /// The password opens no session until another one is set.
    password_expired: bool,
    /// `totp` and `passkey`.
    #[schema(value_type = Vec<String>, example = json!(["totp"]))]
    second_factors: Vec<&'static str>,
    /// The custom claims.
    #[schema(value_type = Object)]
    claims: Value,
    /// UNIX seconds.
    created_at: u64,
}

impl<'a> From<&'a users::User> for User<'a> {
    fn from(user: &'a users::User) -> Self {
        Self {
            sub: &user.id,
            name: &user.name,
            scope: &user.scope,
            locked: user.locked,
            password_expired: user.has_expired_password(),
            second_factors: user.factors.names().collect(),
            claims: user.claims.to_value(),
            created_at: user.created_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct Users<'a> {
    /// By name.
    users: Vec<User<'a>>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListUsers<'a> {
    /// Only the user with this name.
    #[param(nullable = false)]
    name: Option<&'a str>,
    /// Number of items.
    #[serde(default)]
    #[param(value_type = Option<u32>, nullable = false, minimum = 1, maximum = 200, default = 50)]
    limit: Option<&'a str>,
    /// `next_cursor` of the previous page.
    #[param(nullable = false)]
    cursor: Option<&'a str>,
}

/// `GET /admin/v1/users`: the users by name, or the one with a name.
#[utoipa::path(
    get,
    path = "/admin/v1/users",
    tag = "users",
    summary = "List users",
    params(ListUsers<'_>),
    responses((status = 200, description = "A page", body = Users<'_>)),
)]
pub(super) async fn list(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Read).await?;
    let form = query(&call)?;
    let ListUsers { name, limit, cursor: after } = form.parse()?;
    let paging = Paging::new(limit, after)?;
    let (users, is_cut) = match name {
        Some(name) => (admin.user_named(name).await?.into_iter().collect(), false),
        None => {
            let page = admin.users(paging.after.unwrap_or_default(), paging.limit).await?;
            (page.items, page.is_cut)
        }
    };
    let next_cursor = users.last().filter(|_| is_cut).map(|last| cursor(&last.name));
    let users = users.iter().map(User::from).collect();
    Ok(reply::json(StatusCode::OK, &Users { users, next_cursor }))
}

// Each member may be any value, so that a wrong type has a message of its own.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUser)]
pub(super) struct AddUser {
    #[schema(value_type = String, required, example = "alice")]
    name: Option<Value>,
    /// Either this or `password_hash`.
    #[schema(value_type = Option<String>, nullable = false, format = Password, example = "a password of your own")]
    password: Option<Value>,
    /// The hash of the password from another system: argon2, bcrypt, scrypt or PBKDF2.
    #[schema(value_type = Option<String>, nullable = false, example = "$argon2id$v=19$m=19456,t=2,p=1$…")]
    password_hash: Option<Value>,
    #[schema(value_type = Option<String>, nullable = false, default = "", example = "read write")]
    scope: Option<Value>,
    /// Custom claims, for the access tokens of the user.
    #[schema(value_type = Option<Object>, nullable = false)]
    claims: Option<CustomClaims>,
}

/// `POST /admin/v1/users`: adds a user.
#[utoipa::path(
    post,
    path = "/admin/v1/users",
    tag = "users",
    summary = "Add a user",
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, description = "A repeated request has the same answer for 24 h.")),
    request_body = AddUser,
    responses(
        (status = 201, description = "The user", body = User<'_>),
        (status = 409, description = "`conflict`: the name is taken, or a request with the same key is being answered", body = ErrorBody),
        (status = 422, description = "`idempotency_key_reused`: another request had the key", body = ErrorBody),
    ),
)]
pub(super) async fn add(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Change).await?;
    let AddUser { name, password, password_hash, scope, claims } = body(&call)?;
    let password = optional_text("password", password)?.map(Zeroizing::new);
    let credential = match (password, optional_text("password_hash", password_hash)?) {
        (Some(password), None) => Credential::Password(password),
        (None, Some(hash)) => Credential::Hash(hash),
        _ => {
            let description = "expected either password or password_hash";
            return Err(ApiError::invalid_request(description));
        }
    };
    let new = NewUser {
        name: text("name", name)?,
        scope: optional_text("scope", scope)?.unwrap_or_default(),
        claims: claims.unwrap_or_default(),
        credential,
    };
    let render = |user: &users::User| serde_json::to_vec(&User::from(user)).unwrap_or_default();
    let user = admin.add_user(new, idempotency_key(&call)?, render).await?;
    Ok(reply::typed(StatusCode::CREATED, "application/json", user.into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PasswordExpiry)]
pub(super) struct ExpirePasswords {
    /// Must be `true`.
    #[schema(value_type = bool, required, example = true)]
    all: Option<Value>,
    /// `next_cursor` of the previous answer.
    #[schema(value_type = Option<String>, nullable = false)]
    cursor: Option<Value>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ExpiredPasswords<'a> {
    /// The users whose passwords have expired, now or earlier.
    #[schema(example = json!(["user_4Gq…"]))]
    subs: Vec<&'a str>,
    /// Absent if there are no further users.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// `POST /admin/v1/users/expire-passwords`: lets the passwords of all users expire, a page at a time.
#[utoipa::path(
    post,
    path = "/admin/v1/users/expire-passwords",
    tag = "users",
    summary = "Let all passwords expire",
    description = "Changes a page of users, by name. Repeat it with `next_cursor` until an answer has none. For one user, change `password_expired`.",
    request_body = ExpirePasswords,
    responses((status = 200, description = "The passwords of these users open no session any more, and the sessions of the users have ended.", body = ExpiredPasswords<'_>)),
)]
pub(super) async fn expire_passwords(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Change).await?;
    let ExpirePasswords { all, cursor: after } = body(&call)?;
    if boolean("all", all.as_ref())? != Some(true) {
        let description =
            "all must be true: the request is for all users, beginning with this page";
        return Err(ApiError::invalid_request(description));
    }
    let after = optional_text("cursor", after)?;
    let Paging { limit, after } = Paging::new(None, after.as_deref())?;
    let page = admin.expire_passwords(after.unwrap_or_default(), limit).await?;
    let next_cursor = page.items.last().filter(|_| page.is_cut).map(|last| cursor(&last.name));
    let subs = page.items.iter().map(|user| user.id.as_str()).collect();
    Ok(reply::json(StatusCode::OK, &ExpiredPasswords { subs, next_cursor }))
}

/// `GET /admin/v1/users/{sub}`: a user.
#[utoipa::path(
    get,
    path = "/admin/v1/users/{sub}",
    tag = "users",
    summary = "Read a user",
    params(("sub" = String, Path)),
    responses((status = 200, description = "The user", body = User<'_>)),
)]
pub(super) async fn read(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Read).await?;
    let user = admin.user(&call.parameter).await?;
    Ok(reply::json(StatusCode::OK, &User::from(&user)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserChange)]
pub(super) struct ChangeUser {
    /// `true` ends the user's sessions. `false` forgets the user's failed logins too.
    #[schema(value_type = Option<bool>, nullable = false)]
    locked: Option<Value>,
    /// If it lacks a word of the old scope, the user's sessions end.
    #[schema(value_type = Option<String>, nullable = false)]
    scope: Option<Value>,
    /// `true` lets the password open no session any more, and ends the user's sessions. `false` is not
    /// possible: set a password.
    #[schema(value_type = Option<bool>, nullable = false)]
    password_expired: Option<Value>,
    /// Replaces the custom claims.
    #[schema(value_type = Option<Object>, nullable = false)]
    claims: Option<CustomClaims>,
}

impl ChangeUser {
    fn changes(self) -> Result<Vec<UserChange>, ApiError> {
        let mut changes = Vec::new();
        changes.extend(boolean("locked", self.locked.as_ref())?.map(UserChange::Locked));
        if let Some(scope) = optional_text("scope", self.scope)? {
            changes.push(UserChange::Scope(scope::check(&scope)?));
        }
        changes.extend(self.claims.map(UserChange::Claims));
        match boolean("password_expired", self.password_expired.as_ref())? {
            Some(true) => changes.push(UserChange::PasswordExpired),
            Some(false) => {
                let description = "password_expired can only become true; set a password instead";
                return Err(ApiError::invalid_request(description));
            }
            None => {}
        }
        some_of(changes, "locked, scope, claims and password_expired")
    }
}

/// `PATCH /admin/v1/users/{sub}`: changes a user. All of the changes are made, or none.
#[utoipa::path(
    patch,
    path = "/admin/v1/users/{sub}",
    tag = "users",
    summary = "Change a user",
    params(("sub" = String, Path)),
    request_body = ChangeUser,
    responses((status = 200, description = "The user after the change", body = User<'_>)),
)]
pub(super) async fn change(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Change).await?;
    let changes = body::<ChangeUser>(&call)?.changes()?;
    let user = admin.change_user(&call.parameter, changes).await?;
    Ok(reply::json(StatusCode::OK, &User::from(&user)))
}

/// `DELETE /admin/v1/users/{sub}`: deletes a user, and ends their sessions.
#[utoipa::path(
    delete,
    path = "/admin/v1/users/{sub}",
    tag = "users",
    summary = "Delete a user",
    params(("sub" = String, Path)),
    responses((status = 204, description = "The user is deleted.")),
)]
pub(super) async fn delete(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Change).await?;
    admin.delete_user(&call.parameter).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPassword)]
pub(super) struct SetPassword {
    #[schema(value_type = String, required, format = Password)]
    password: Option<Value>,
}

/// `POST /admin/v1/users/{sub}/password`: sets a password, and ends the user's sessions.
#[utoipa::path(
    post,
    path = "/admin/v1/users/{sub}/password",
    tag = "users",
    summary = "Set a user's password",
    params(("sub" = String, Path)),
    request_body = SetPassword,
    responses((status = 204, description = "The password is set, and the sessions of the user have ended.")),
)]
pub(super) async fn set_password(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Change).await?;
    let SetPassword { password } = body(&call)?;
    let password = text("password", password)?;
    admin.set_password(&call.parameter, Zeroizing::new(password)).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

#[derive(Serialize, ToSchema)]
pub(super) struct ResetToken<'a> {
    /// Not shown again.
    token: &'a str,
    /// UNIX seconds.
    expires_at: u64,
}

/// `POST /admin/v1/users/{sub}/password-reset`: makes a token with which the user can set a password.
#[utoipa::path(
    post,
    path = "/admin/v1/users/{sub}/password-reset",
    tag = "users",
    summary = "Make a token for a new password",
    description = "It works once, at `POST /password/reset`. Until then the password stays as it is.",
    params(("sub" = String, Path)),
    responses((status = 201, description = "The token, to be delivered to the user", body = ResetToken<'_>)),
)]
pub(super) async fn reset_password(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Change).await?;
    let reset = admin.begin_password_reset(&call.parameter).await?;
    let body = ResetToken { token: &reset.token, expires_at: reset.expires_at };
    Ok(reply::json(StatusCode::CREATED, &body))
}

/// `DELETE /admin/v1/users/{sub}/factors`: removes a user's second factors, and ends the user's sessions.
#[utoipa::path(
    delete,
    path = "/admin/v1/users/{sub}/factors",
    tag = "users",
    summary = "Remove a user's second factors",
    description = "For a user who has lost them. If the user had any, the user's sessions end.",
    params(("sub" = String, Path)),
    responses((status = 204, description = "The user has no authenticator app, recovery codes or passkeys.")),
)]
pub(super) async fn reset_factors(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Change).await?;
    admin.reset_factors(&call.parameter).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
