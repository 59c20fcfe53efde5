// What an import of the module gives: in Cloudflare Workers the module, compiled, as the default export; in Deno, as
// modules are imported by the ESM integration of WebAssembly, what its instance exports.
declare const module: WebAssembly.Module
export default module
