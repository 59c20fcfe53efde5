import { refuse } from './errors.js'
import { hasRelaxedSimd } from './relaxed.js'
import { instantiate } from './wasm.js'

let loading: Promise<void> | undefined

/**
 * Loads the WebAssembly module for all verifiers. If `compile` fails, takes the module from a script: many bundlers copy the
 * package's scripts, but not the module. After a failure, the next call tries again.
 */
export function load(compile: () => WebAssembly.Module | Promise<WebAssembly.Module>): Promise<void> {
  loading ??= loadOnce(compile).catch((cause: unknown) => {
    loading = undefined
    throw cause
  })
  return loading
}

async function loadOnce(compile: () => WebAssembly.Module | Promise<WebAssembly.Module>): Promise<void> {
  let module: WebAssembly.Module
  try {
    module = await compile()
  } catch (cause) {
    const { compileFallback } = await import('./fallback.js').catch(() => {
      throw new Error(`countersign: the WebAssembly was not loaded: ${cause}; a Content-Security-Policy needs connect-src 'self'`, { cause })
    })
    module = compileFallback(cause, hasRelaxedSimd, refuse)
  }
  instantiate(() => module)
}
