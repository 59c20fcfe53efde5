// `countersign.wasm` in JavaScript, by binaryen's wasm2js. `cargo xtask build` writes it.

/** Makes the exports of a new instance. */
export function instantiate(): object
