// What `cargo xtask build` writes beside the modules: their bytes in base64.

/** `countersign.wasm`. */
export const portable: string
/** `countersign.relaxed.wasm`. */
export const relaxed: string
