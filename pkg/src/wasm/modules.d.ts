// What the bundlers of edge runtimes, and the runtimes, make of the import of a WebAssembly file.

declare module '*.wasm' {
  const module: WebAssembly.Module
  export default module
}
