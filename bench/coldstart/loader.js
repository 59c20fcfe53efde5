// A Worker that starts the Worker of a contestant in a new isolate and passes the request on. The bindings have each
// contestant's script, and the WebAssembly module.
let loaded = 0

export default {
  async fetch(request, { LOADER, countersign, jose, nothing, wasm }) {
    const name = new URL(request.url).pathname.slice(1)
    loaded++
    const modules = { 'main.js': { js: { countersign, jose, nothing }[name] } }
    if (name === 'countersign') modules['countersign.relaxed.wasm'] = { wasm: unique(wasm, loaded) }
    const code = { compatibilityDate: '2025-09-01', mainModule: 'main.js', modules }
    return LOADER.get(String(loaded), async () => code).getEntrypoint().fetch(request)
  },
}

/** Adds a custom section with a number. V8 keeps the code of modules, and would not compile the same bytes again. */
function unique(bytes, number) {
  const section = Uint8Array.of(0, 6, 1, 0x78, number, number >> 8, number >> 16, number >> 24)
  const module = new Uint8Array(bytes.byteLength + section.length)
  module.set(new Uint8Array(bytes))
  module.set(section, bytes.byteLength)
  return module.buffer
}
