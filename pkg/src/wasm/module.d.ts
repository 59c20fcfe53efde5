// In Vercel's edge runtime, an import with `?module` is the compiled module.
declare module '*.wasm?module' {
  const module: WebAssembly.Module
  export default module
}
