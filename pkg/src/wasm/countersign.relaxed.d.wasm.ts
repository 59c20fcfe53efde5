// In Cloudflare Workers, the default export is the compiled module. In Deno, the import is an instance, by the ESM
// integration of WebAssembly.
declare const module: WebAssembly.Module
export default module
