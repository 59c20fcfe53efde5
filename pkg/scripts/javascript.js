// Turns the output of wasm2js into an ES module with a function that makes an instance: `node javascript.js INPUT OUTPUT`.
import { readFile } from 'node:fs/promises'
import { rolldown } from 'rolldown'

const [, , input, file] = process.argv

/** wasm2js makes one instance, which it exports. Everything before that belongs to the instance. */
const INSTANCE = /^var retasmFunc = [^]*/m

const name = 'instance'
const code = `export function instantiate() {\n${(await readFile(input, 'utf8')).replace(INSTANCE, 'return asmFunc({})')}\n}`
const bundle = await rolldown({
  input: name,
  plugins: [{ name, resolveId: (id) => id, load: () => code }],
})
await bundle.write({ file, minify: true })
await bundle.close()
