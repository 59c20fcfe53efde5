// Writes a CommonJS copy of the entry points for Node.js, for tools that cannot `require()` an ES module: Jest, in Node.js
// before 24.9. All others get the ES modules by the condition `module-sync`, so that there is one class VerifyError.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const DIST = fileURLToPath(new URL('../dist/', import.meta.url))
const COMMONJS = join(DIST, 'commonjs')

/** A path in this form is found by tools that trace files. The modules stay beside the folder. */
const MODULE_URL = /new URL\('\.\/wasm\/([\w.]+)', import\.meta\.url\)/g

const ENTRIES = ['node', 'inline', 'js', 'no-webassembly', 'guard', 'express', 'status', 'session', 'testing']

const bundle = await rolldown({
  input: Object.fromEntries(ENTRIES.map((name) => [name, join(DIST, `${name}.js`)])),
  platform: 'node',
  plugins: [{ name: 'paths of the modules', transform: (code) => code.replace(MODULE_URL, '`${__dirname}/../wasm/$1`') }],
})
await bundle.write({ dir: COMMONJS, format: 'cjs', chunkFileNames: 'shared-[hash].js' })
await bundle.close()
await writeFile(join(COMMONJS, 'package.json'), '{ "type": "commonjs" }\n')

// The same types. TypeScript sees from the package.json beside them that they belong to a CommonJS module.
const declarations = new Set(ENTRIES)
for (const name of declarations) {
  const text = await readFile(join(DIST, `${name}.d.ts`), 'utf8')
  await writeFile(join(COMMONJS, `${name}.d.ts`), text)
  for (const [, imported] of text.matchAll(/from '\.\/([\w-]+)\.js'/g)) declarations.add(imported)
}
