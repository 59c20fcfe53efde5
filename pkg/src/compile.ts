/** Compiles a WebAssembly module from its bytes in base64. */
export function compileBase64(base64: string): WebAssembly.Module {
  const bytes = Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0))
  try {
    return new WebAssembly.Module(bytes)
  } catch (cause) {
    throw new Error(BLOCKED, { cause })
  }
}

const BLOCKED =
  "countersign: WebAssembly is not compiled from bytes here: in Cloudflare Workers, import 'countersign' instead of " +
  "'countersign/inline'; under a Content-Security-Policy, script-src needs 'wasm-unsafe-eval'; or import 'countersign/js'"
