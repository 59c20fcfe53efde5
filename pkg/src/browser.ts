import { hasRelaxedSimd } from './relaxed.js'
import type { Verifier, VerifierOptions } from './types.js'
import { createVerifierWith } from './verifier.js'
import { instantiate } from './wasm.js'

export * from './public.js'

/**
 * Makes a verifier. The first call fetches and compiles the WebAssembly module. The first `verify` fetches the keys unless
 * `jwks` is an object. A Content-Security-Policy needs `'wasm-unsafe-eval'` in its `script-src`.
 *
 * @throws {@link VerifyError} - `options_invalid`, naming the option; `jwks_invalid` if `jwks` has an array `keys` but is
 * no JWK Set.
 * @throws Error - If the WebAssembly module cannot be loaded or compiled. The next call tries again.
 */
export function createVerifier(options: VerifierOptions | readonly VerifierOptions[]): Promise<Verifier> {
  return createVerifierWith(load, options)
}

let loading: Promise<void> | undefined

function load(): Promise<void> {
  loading ??= compile(moduleUrl())
    .then((module) => instantiate(() => module))
    .catch((cause: unknown) => {
      loading = undefined
      throw cause
    })
  return loading
}

/** Bundlers find a file only by a URL in exactly this form. */
function moduleUrl(): URL {
  return hasRelaxedSimd()
    ? new URL('./wasm/countersign.relaxed.wasm', import.meta.url)
    : new URL('./wasm/countersign.wasm', import.meta.url)
}

async function compile(url: URL): Promise<WebAssembly.Module> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`countersign: no WebAssembly module at ${url}: HTTP status ${response.status}`)
  const type = response.headers.get('content-type')
  try {
    // Compiling from the stream requires this type (WebAssembly Web API §3). Many servers do not send it.
    return await (type === 'application/wasm'
      ? WebAssembly.compileStreaming(response)
      : WebAssembly.compile(await response.arrayBuffer()))
  } catch (cause) {
    // A `TypeError` is a network error, not an error of compilation.
    if (cause instanceof TypeError) throw cause
    const reasons = `script-src of the Content-Security-Policy needs 'wasm-unsafe-eval', or it is no WebAssembly (${type})`
    throw new Error(`countersign: ${url} was not compiled: ${reasons}`, { cause })
  }
}
