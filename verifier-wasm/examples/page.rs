//! A program for the browser that exports the verifier and a function of its own.

use wasm_bindgen::prelude::wasm_bindgen;

pub use countersign_wasm::Verifier;

/// Returns a greeting.
#[wasm_bindgen]
pub fn greeting(name: &str) -> String {
    format!("welcome, {name}")
}
