// The ways to the WebAssembly module: bundles that lack its file, runtimes without WebAssembly, and the conditions of
// package.json.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import * as esbuild from 'esbuild'
import * as vite from 'vite'
import webpack from 'webpack'
import { claims, makeKey, makeToken, options } from './package-tokens.js'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const DIST = fileURLToPath(new URL('../../pkg/dist/', import.meta.url))
const ENTRY = join(HERE, 'support/loading-entry.js')
const run = promisify(execFile)

const key = makeKey('k1')
const token = makeToken(key)
const JOB = JSON.stringify({ token, options: { ...options([key]), now: undefined } })

let folder

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-loading-'))
})
after(() => rm(folder, { recursive: true }))

const bundlers = {
  'esbuild to an ES module': (out) => withEsbuild({ entryPoints: [ENTRY], format: 'esm', outfile: join(out, 'a.mjs') }),
  'esbuild to CommonJS, whose import.meta is empty': (out) => {
    return withEsbuild({ entryPoints: [ENTRY], format: 'cjs', outfile: join(out, 'a.cjs'), logOverride: { 'empty-import-meta': 'silent' } })
  },
  'esbuild from CommonJS': (out) => {
    return withEsbuild({ entryPoints: [ENTRY.replace('.js', '.cjs')], format: 'cjs', outfile: join(out, 'a.cjs') })
  },
  'Vite for servers': async (outDir) => {
    const build = { ssr: ENTRY, outDir, emptyOutDir: false, rolldownOptions: { output: { entryFileNames: 'a.mjs' } } }
    await vite.build({ root: HERE, configFile: false, logLevel: 'error', ssr: { noExternal: true }, build })
    return join(outDir, 'a.mjs')
  },
}

for (const [name, bundle] of Object.entries(bundlers)) {
  test(`a program bundled by ${name} verifies without the module's file`, async () => {
    const out = await mkdtemp(join(folder, 'out-'))
    const program = await bundle(out)
    assert.deepEqual(await wasmIn(out), [])
    await assertVerifies(program)
  })
}

test('webpack copies both modules beside a program for Node.js, which then verifies', async () => {
  const path = await mkdtemp(join(folder, 'out-'))
  const compiler = webpack({ mode: 'production', context: HERE, entry: ENTRY, target: 'node', output: { path, filename: 'a.cjs' } })
  const stats = await promisify(compiler.run.bind(compiler))()
  await promisify(compiler.close.bind(compiler))()
  assert.ok(!stats.hasErrors() && !stats.hasWarnings(), stats.toString())
  assert.equal((await wasmIn(path)).length, 2)
  await assertVerifies(join(path, 'a.cjs'))
})

test('a program that is not bundled reads the file, and needs no script with the bytes', async () => {
  const copy = await mkdtemp(join(folder, 'copy-'))
  await cp(DIST, join(copy, 'dist'), { recursive: true })
  await writeFile(join(copy, 'package.json'), JSON.stringify({ name: 'countersign', type: 'module', exports: './dist/node.js' }))
  for (const name of ['fallback.js', 'wasm/bytes.js']) await rm(join(copy, 'dist', name))
  await cp(ENTRY, join(copy, 'a.js'))
  await assertVerifies(join(copy, 'a.js'))
  await rm(join(copy, 'dist/wasm'), { recursive: true })
  await assert.rejects(assertVerifies(join(copy, 'a.js')), /the WebAssembly was not loaded: Error: ENOENT/)
})

test('plain options need only the scripts of every page', async () => {
  const { createVerifier } = await packageWithout('prepare', 'words')
  const plain = { issuer: ['https://auth.example'], audience: 'api', type: null, scope: ['read'], clockTolerance: 5, jwks: 'https://auth.example/jwks.json' }
  const verifier = await createVerifier(plain)
  assert.throws(() => verifier.verifySync(token), { code: 'jwks_unavailable' })
  for (const other of [{ claims: { sub: 'alice' } }, { now: Date.now }, { jwks: { keys: [] } }, { jwks: undefined }, { jwks: 'http://localhost/jwks.json' }]) {
    await assert.rejects(createVerifier({ ...plain, ...other }), /^Error: countersign: the script for these options was not loaded: .*countersign\/inline/)
  }
})

test('an option is refused, also if the script with the words is missing', async () => {
  const { createVerifier } = await packageWithout('words')
  const message = 'option `aud` is refused; the script with the reason was not loaded'
  await assert.rejects(createVerifier({ ...options([]), aud: 'api' }), { code: 'options_invalid', reason: 'aud', message })
})

const failures = {
  'an empty key set': [() => new Response('{ "keys": [] }'), 'no key of the set is usable'],
  'an error of the network': [() => Promise.reject(new TypeError('failed')), 'the network request failed'],
  'another status': [() => new Response('', { status: 500 }), 'the response cannot be used'],
}

for (const [name, [answer, problem]] of Object.entries(failures)) {
  test(`${name} is a failed fetch, also if the script with the words is missing`, async () => {
    const { createVerifier } = await packageWithout('words')
    const verifier = await createVerifier({ ...options([]), jwks: 'https://auth.example/jwks.json', fetch: async () => answer() })
    const message = `no key set from https://auth.example/jwks.json: ${problem}`
    await assert.rejects(verifier.verify(token), { code: 'jwks_unavailable', retryable: true, message })
  })
}

/** Imports a copy of the package that lacks some scripts. */
async function packageWithout(...names) {
  const copy = await mkdtemp(join(folder, 'without-'))
  await cp(DIST, join(copy, 'dist'), { recursive: true })
  await writeFile(join(copy, 'package.json'), '{ "type": "module" }')
  for (const name of names) await rm(join(copy, `dist/${name}.js`))
  return import(pathToFileURL(join(copy, 'dist/node.js')))
}

test('without WebAssembly, tokens can be read, and createVerifier names the entry point that needs none', async () => {
  const program = `
    const { createVerifier, decodeUnverified, expiry, VerifyError } = await import('countersign')
    const { createVerifier: createInline, createVerifierSync } = await import('countersign/inline')
    const { guard } = await import('countersign/guard')
    const { token, options } = JSON.parse(process.env.JOB)
    console.log(expiry(token, { now: () => 1_700_000_000 }).secondsLeft, decodeUnverified(token).payload.sub)
    const request = { url: 'https://api.example', headers: new Map([['authorization', 'Bearer ' + token]]) }
    const attempts = [createVerifier, createInline, async () => createVerifierSync(options), (options) => guard(request, createVerifier(options))]
    for (const attempt of attempts) {
      const error = await attempt(options).then(() => 'made', (error) => error)
      console.log(error instanceof VerifyError, error.code, error.reason, error.message)
    }`
  const { stdout } = await run(process.execPath, ['--jitless', '--input-type=module', '--eval', program], { cwd: HERE, env: { JOB } })
  const refusal = "true options_invalid webassembly this runtime has no WebAssembly; import 'countersign/js', which does the same in JavaScript"
  assert.deepEqual(stdout.trimEnd().split('\n'), ['900 somebody', refusal, refusal, refusal, refusal])
})

for (const name of ['countersign', 'countersign/inline', 'countersign/js']) {
  test(`${name} works without TextEncoder and TextDecoder, as in Jest with jsdom`, async () => {
    const program = `
      const { token, options } = JSON.parse(process.env.JOB)
      const response = Response.json(options.jwks)
      delete globalThis.TextEncoder
      delete globalThis.TextDecoder
      const { createVerifier, decodeUnverified } = await import('${name}')
      await Promise.all([import('countersign/guard'), import('countersign/express')])
      const verifier = await createVerifier({ ...options, jwks: 'https://auth.example/', fetch: async () => response, now: () => 1_700_000_000 })
      console.log(decodeUnverified(token).payload.sub, (await verifier.verify(token)).payload.sub)`
    const sub = 'jos\u00e9 100% \u{1f600}'
    const issuer = 'https://\u00fcber.example'
    const job = { token: makeToken(key, claims({ sub, iss: issuer })), options: { ...options([key], { issuer }), now: undefined } }
    const settings = { cwd: HERE, env: { JOB: JSON.stringify(job) } }
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], settings)
    assert.equal(stdout, `${sub} ${sub}\n`)
  })
}

const conditions = [
  { given: ['unwasm'], entry: 'edge-light.js' },
  { given: ['unwasm', 'workerd'], entry: 'edge-light.js' },
  { given: ['unwasm', 'node'], entry: 'node.js' },
  { given: ['workerd', 'worker', 'browser'], entry: 'workerd.js' },
  { given: ['edge-light'], entry: 'edge-light.js' },
  { given: ['react-native'], entry: 'no-webassembly.js' },
  { given: ['react-native', 'require'], entry: 'commonjs/no-webassembly.js' },
  { given: ['fastly'], entry: 'no-webassembly.js' },
  { given: ['node'], entry: 'node.js' },
  { given: ['node', 'require'], entry: 'commonjs/node.js' },
  { given: ['browser'], entry: 'browser.js' },
]

for (const { given, entry } of conditions) {
  test(`the conditions ${given} lead to ${entry}`, async () => {
    const kind = given.includes('require') ? 'require-call' : 'import-statement'
    let path
    const resolvePackage = {
      name: 'resolve the package',
      setup(build) {
        build.onStart(async () => {
          ;({ path } = await build.resolve('countersign', { kind, resolveDir: HERE }))
        })
      },
    }
    const names = given.filter((name) => name !== 'require')
    await esbuild.build({ stdin: { contents: '' }, write: false, platform: 'neutral', conditions: names, plugins: [resolvePackage] })
    assert.equal(path, join(DIST, entry))
  })
}

for (const [form, value] of Object.entries({ 'the compiled module': 'new WebAssembly.Module(bytes)', bytes: 'bytes' })) {
  test(`the entry point for edge functions takes ${form}`, async () => {
    const out = await mkdtemp(join(folder, 'out-'))
    const modules = {
      name: 'modules',
      setup(build) {
        build.onResolve({ filter: /\?module$/ }, ({ path, resolveDir }) => ({ path: join(resolveDir, path.replace('?module', '')), namespace: 'edge' }))
        build.onLoad({ filter: /./, namespace: 'edge' }, async ({ path }) => {
          const bytes = (await readFile(path)).toString('base64')
          const text = `const bytes = Uint8Array.from(atob('${bytes}'), (byte) => byte.charCodeAt(0))\n`
          return { contents: `${text}export default ${value}` }
        })
      },
    }
    await withEsbuild({ entryPoints: [ENTRY], format: 'esm', conditions: ['edge-light'], outfile: join(out, 'a.mjs'), plugins: [modules] })
    await assertVerifies(join(out, 'a.mjs'))
  })
}

test('the entry points for React Native have no import.meta, which Hermes does not compile', async () => {
  const { errors } = await esbuild.build({
    entryPoints: ['no-webassembly.js', 'js.js', 'guard.js'].map((name) => join(DIST, name)),
    outdir: folder,
    bundle: true,
    write: false,
    format: 'esm',
    supported: { 'import-meta': false },
    logOverride: { 'empty-import-meta': 'error' },
  })
  assert.deepEqual(errors, [])
})

test('a bundle of expiry has no WebAssembly', async () => {
  const contents = `export { expiry } from 'countersign'`
  const { outputFiles } = await esbuild.build({ stdin: { contents, resolveDir: HERE }, bundle: true, write: false, format: 'esm' })
  assert.equal(outputFiles.length, 1)
  assert.doesNotMatch(outputFiles[0].text, /WebAssembly|TextEncoder|import\(|import\.meta/)
})

async function withEsbuild(settings) {
  await esbuild.build({ bundle: true, platform: 'node', logLevel: 'error', ...settings })
  return settings.outfile
}

async function wasmIn(folder) {
  return (await readdir(folder, { recursive: true })).filter((path) => path.endsWith('.wasm'))
}

async function assertVerifies(program) {
  const { stdout } = await run(process.execPath, [program], { cwd: '/', env: { JOB } })
  assert.equal(stdout, 'somebody\nsignature_invalid\n')
}
