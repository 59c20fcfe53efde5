// The bytes of the modules in base64. `cargo xtask build` writes them.

/** `countersign.wasm`. */
export const portable: string
/** `countersign.relaxed.wasm`. */
export const relaxed: string
