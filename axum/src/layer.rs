//! The tower layer.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum_core::{
    extract::Request,
    response::{IntoResponse, Response},
};
use countersign_verifier::Verified;
use tower_layer::Layer;
use tower_service::Service;

use crate::{Error, Guard, refusal::Refusal, request};

/// A service behind a [`Guard`].
///
/// It verifies the token of each request, and answers a refused one with a [`Refusal`]. It gives the
/// [`Verified`] to the service as an extension of the request, an `Arc<Verified>`;
/// [`Claims`](crate::Claims) extracts the claims.
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    inner: S,
    guard: Guard,
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, guard: self.clone() }
    }
}

impl<S> Service<Request> for Guarded<S>
where
    S: Service<Request> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let guard = self.guard.clone();
        // The clone may not be ready, but the original is.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            match guard.admit(request).await {
                Ok(request) => inner.call(request).await.map(IntoResponse::into_response),
                Err(refusal) => Ok(refusal.into_response()),
            }
        })
    }
}

/// The token of a request that passed a guard.
#[derive(Clone)]
pub(crate) struct Passed {
    guard: Guard,
    pub(crate) verified: Arc<Verified>,
}

impl Guard {
    /// Verifies the token of a request, and adds the result to its extensions.
    async fn admit(&self, mut request: Request) -> Result<Request, Refusal> {
        if let Some(verified) = self.passed(&request) {
            self.authorize(&verified).map_err(Error::from)?;
            return Ok(request);
        }
        let (parts, body) = request.into_parts();
        let token = request::token(&parts)?;
        let verified = Arc::new(self.authenticate(&token).await?);
        request = Request::from_parts(parts, body);
        if request::is_form(request.headers()) {
            let (holds_token, body) = request::search_form(mem::take(request.body_mut())).await;
            if holds_token {
                return Err(Refusal::sent_twice());
            }
            *request.body_mut() = body;
        }
        self.authorize(&verified).map_err(Error::from)?;
        let extensions = request.extensions_mut();
        extensions.insert(Passed { guard: self.clone(), verified: Arc::clone(&verified) });
        extensions.insert(verified);
        Ok(request)
    }

    /// Returns the token if a guard around this one has verified it with the same policy and keys.
    fn passed(&self, request: &Request) -> Option<Arc<Verified>> {
        let passed = request.extensions().get::<Passed>()?;
        passed.guard.shares_with(self).then(|| Arc::clone(&passed.verified))
    }
}
