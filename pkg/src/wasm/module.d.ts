// In Vercel's edge runtime and in Nitro, an import with `?module` is the compiled module, or its bytes.
declare module '*.wasm?module' {
  const module: WebAssembly.Module | Uint8Array<ArrayBuffer>
  export default module
}
