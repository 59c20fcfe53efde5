// The least of a host for a Fastly Compute program: one request, `GET http://localhost/`. All other calls succeed and do
// nothing. The program may use its console, but no network and no bodies. Arguments: the path of the program.
import { readFile } from 'node:fs/promises'
import { WASI } from 'node:wasi'

const REQUEST = 1
const BODY = 2

const wasi = new WASI({ version: 'preview1', args: ['program'] })
const program = await WebAssembly.compile(await readFile(process.argv[2]))
const imports = { wasi_snapshot_preview1: wasi.wasiImport }
for (const { module, name } of WebAssembly.Module.imports(program)) (imports[module] ??= {})[name] ??= () => 0
Object.assign(imports.fastly_http_req, { body_downstream_get: giveRequest, method_get: giving('GET'), uri_get: giving('http://localhost/') })

const instance = await WebAssembly.instantiate(program, imports)
process.exitCode = wasi.start(instance)

function giveRequest(request, body) {
  const memory = new DataView(instance.exports.memory.buffer)
  memory.setUint32(request, REQUEST, true)
  memory.setUint32(body, BODY, true)
  return 0
}

function giving(text) {
  return (handle, address, size, length) => {
    const { buffer } = instance.exports.memory
    const { written } = new TextEncoder().encodeInto(text, new Uint8Array(buffer, address, size))
    new DataView(buffer).setUint32(length, written, true)
    return 0
  }
}
