// Merges the files that are always loaded together: each file costs a cold start time, and a page without a bundler a request.
// The files stay, and export the same from the merged ones. So every class exists once, and the command line and the tests
// import each file by its name.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const DIST = fileURLToPath(new URL('../dist/', import.meta.url))

/** Verifiers and guards share these. Guards load nothing of a verifier. */
const SHARED = ['errors', 'options']

/** Every verifier needs these. */
const CORE = [
  'cache-entry', 'decode', 'fetch-document', 'freeze', 'in-words', 'public', 'relaxed', 'resolver', 'text', 'timing', 'tools',
  'unknown-kids', 'utf8', 'verifier', 'wasm',
]

/** These find the WebAssembly module by its URL. Bundlers copy the modules beside every program with such a URL. */
const LOADER = ['load', 'module-url']

/** Pages do without these. */
const SERVERS = ['etag', 'servers']

/** These are loaded if there are options that are not plain. */
const ANY_OPTIONS = ['all-options', 'cache', 'document-store', 'metadata', 'option-fault', 'policies', 'prepare', 'urls']

/** Revocation. */
const REVOCATION = ['fetched-list', 'status', 'status-list', 'status-verifier']

/** The session of a page. Its entry point imports nothing else. */
const SESSION = [
  'session', 'session-browser', 'session-clock', 'session-endpoints', 'session-error', 'session-fetch', 'session-keeper',
  'session-lock', 'session-login-endpoints', 'session-logins', 'session-options', 'session-passkeys', 'session-requests',
  'session-tabs',
]

const GROUPS = {
  shared: SHARED, core: CORE, loader: LOADER, server: SERVERS, 'any-options': ANY_OPTIONS, revocation: REVOCATION,
  'page-session': SESSION,
}

const groups = Object.entries(GROUPS).map(([name, files]) => ({ name, test: new RegExp(`/dist/(${files.join('|')})\\.js$`) }))
const files = (await readdir(DIST)).filter((name) => name.endsWith('.js'))
const bundle = await rolldown({
  input: Object.fromEntries(files.map((name) => [name.replace('.js', ''), join(DIST, name)])),
  platform: 'neutral',
  external: [/\/wasm\//, /^node:/],
  // Rolldown requires it for groups that do not take in what their files import.
  preserveEntrySignatures: 'allow-extension',
})
await bundle.write({
  dir: DIST,
  format: 'esm',
  chunkFileNames: '[name].js',
  minifyInternalExports: false,
  codeSplitting: { groups, includeDependenciesRecursively: false },
})
await bundle.close()
