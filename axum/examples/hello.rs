//! A service that greets the owner of the token:
//!
//!     cargo run -p countersign-axum --example hello -- http://127.0.0.1:8080

use axum::{Router, routing::get};
use countersign_axum::{Claims, Guard, Policy};

#[derive(serde::Deserialize)]
struct Me {
    sub: String,
}

async fn hello(Claims(me): Claims<Me>) -> String {
    format!("hello {}", me.sub)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let issuer = std::env::args().nth(1).ok_or("give the issuer's URL")?;
    let guard = Guard::builder(Policy::new(issuer, "api")).build()?;
    let app = Router::new().route("/hello", get(hello)).layer(guard.with_scope("read")?);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}/hello", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
