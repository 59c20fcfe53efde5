// The README of `verifier-wasm`, and the types of its class.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { claims, makeKey, makeToken } from './package-tokens.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
// `cargo xtask test` compiles the program and makes its bindings.
const bindings = join(root, 'target/bindgen/page/page.js')
const folder = await mkdtemp(join(root, 'target/bindgen/test-'))
after(() => rm(folder, { recursive: true }))

const readme = await readFile(join(root, 'verifier-wasm/README.md'), 'utf8')
const block = (language) => new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'm').exec(readme)[1]

test('the Rust of the README is the program of the example', async () => {
  const program = await readFile(join(root, 'verifier-wasm/examples/page.rs'), 'utf8')
  assert.equal(program.replace(/^\/\/!.*\n\n/, ''), block('rust'))
})

test('the JavaScript of the README greets the subject of a token, and prints the code of a refusal', async (t) => {
  const key = makeKey('k1')
  const now = Math.floor(Date.now() / 1000)
  t.mock.method(globalThis, 'fetch', async (url) => {
    assert.equal(url, 'https://auth.example/.well-known/jwks.json')
    return Response.json({ keys: [key.jwk] })
  })
  const lines = []
  t.mock.method(console, 'log', (...words) => lines.push(words.join(' ')))
  const program = join(folder, 'readme.mjs')
  await writeFile(program, block('js').replace("'./pkg/page.js'", JSON.stringify(pathToFileURL(bindings))))
  t.after(() => delete globalThis.token)
  for (const exp of [now + 900, now - 35]) {
    globalThis.token = makeToken(key, claims({ iat: now - 900, exp }))
    await import(`${pathToFileURL(program)}?${exp}`)
  }
  assert.equal(lines[0], `welcome, ${claims().sub}`)
  assert.match(lines[1], /^token_expired the token expired \d+ s ago: /)
  assert.equal(lines.length, 2)
})

test('a verifier works on after an exception of the caller in the middle of a call', async () => {
  const { Verifier } = await import(bindings)
  const key = makeKey('k1')
  const now = claims().iat
  const verifier = new Verifier({ issuer: claims().iss, audience: claims().aud })
  verifier.setKeys({ keys: [key.jwk] })
  const thrown = new Error('by the getter')
  assert.throws(() => verifier.setKeys({ get keys() { throw thrown } }), thrown)
  assert.equal(verifier.verify(makeToken(key, claims()), now).payload.sub, claims().sub)
  // The getter uses the verifier itself.
  verifier.setKeys({ get keys() { return verifier.hasUsableKeys() ? [] : [key.jwk] } })
  assert.equal(verifier.hasUsableKeys(), false)
})

test('the types are those of the npm package', async () => {
  const program = join(folder, 'types.ts')
  await writeFile(program, `
    import type * as npm from 'countersign'
    import type { JwkSet, PolicyOptions, Verified, Verifier, VerifyError } from '../page/page.js'

    type Same<A, B> = [A, B] extends [B, A] ? true : false
    type NotAboutTokens = 'jwks' | 'jwksOptions' | 'cache' | 'now' | 'fetch' | 'status'
    export const checks: [
      Same<PolicyOptions, Omit<npm.VerifierOptions, NotAboutTokens>>,
      Same<keyof PolicyOptions, Exclude<keyof npm.VerifierOptions, NotAboutTokens>>,
      Same<Verified, npm.Verified>,
      Same<Omit<VerifyError, keyof Error>, Omit<npm.VerifyError, keyof Error>>,
      Same<keyof VerifyError, keyof npm.VerifyError>,
      npm.JwkSet extends JwkSet ? true : false,
      Same<ConstructorParameters<typeof Verifier>, [PolicyOptions]>,
      Same<ReturnType<Verifier['verify']>, Verified>,
    ] = [true, true, true, true, true, true, true, true]
  `)
  const flags = ['--noEmit', '--pretty', 'false', '--strict', '--exactOptionalPropertyTypes', '--module', 'nodenext', '--target', 'es2022', '--types', '']
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const output = await new Promise((resolve) => {
    execFile(process.execPath, [tsc, ...flags, '--lib', 'esnext,dom', program], { cwd: folder }, (_, stdout, stderr) => resolve(stdout + stderr))
  })
  assert.equal(output, '')
})
