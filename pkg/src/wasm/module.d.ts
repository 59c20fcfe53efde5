// What an import of a module with `?module` gives in Vercel's edge runtime: the module, compiled.
declare module '*.wasm?module' {
  const module: WebAssembly.Module
  export default module
}
