// Every cell of docs/comparison.md: each library is asked, in this process or by its package.
import assert from 'node:assert/strict'
import { createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mock, test } from 'node:test'
import { brotliCompressSync } from 'node:zlib'
import { JwtVerifier } from 'aws-jwt-verify'
import { SimpleJwksCache } from 'aws-jwt-verify/jwk'
import { createVerifier } from 'countersign'
import { build } from 'esbuild'
import { createVerifier as createFastVerifier } from 'fast-jwt'
import { verify as verifyWithHono, verifyWithJwks } from 'hono/jwt'
import { createRemoteJWKSet, customFetch, importJWK, jwtVerify } from 'jose'
import jwt from 'jsonwebtoken'
import jwksClient from 'jwks-rsa'
import { AUDIENCE, claims, ISSUER, makeKey, makeToken } from './package-tokens.js'
import { read, ROOT, table } from './support/documents.js'
import { oddTokens } from './support/odd-tokens.js'

const NAMES = ['countersign', 'jose', 'fast-jwt', 'jsonwebtoken', 'aws-jwt-verify', 'hono']
const KEYS_URL = `${ISSUER}/jwks.json`

const page = read('docs/comparison.md')

// The clocks of all libraries stand still until a test sets them forward.
mock.timers.enable({ apis: ['Date'], now: Date.now() })
let elapsed = 0
mock.method(performance, 'now', () => elapsed * 1000)

function pass(seconds) {
  elapsed += seconds
  mock.timers.tick(seconds * 1000)
}

const seconds = () => Math.floor(Date.now() / 1000)

const [key, next, small] = [makeKey('k1'), makeKey('k2'), makeKey('k1', 1024)]
const pemOf = ({ privateKey }) => createPublicKey(privateKey).export({ format: 'pem', type: 'spki' })
const payload = (changes) => claims({ iat: seconds(), exp: seconds() + 900, ...changes })
const token = (changes, header) => makeToken(key, payload(changes), header)

/** Each makes a function that verifies with one key, as the first example of the library's documentation does. */
const BY_DEFAULT = {
  countersign: async ({ jwk }) => {
    const verifier = await createVerifier({ issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [jwk] } })
    return (token) => verifier.verifySync(token)
  },
  jose: async ({ jwk }) => {
    const imported = await importJWK(jwk, jwk.alg)
    return (token) => jwtVerify(token, imported)
  },
  'fast-jwt': async (key) => createFastVerifier({ key: pemOf(key) }),
  jsonwebtoken: async (key) => (token) => jwt.verify(token, pemOf(key)),
  'aws-jwt-verify': async ({ jwk }) => {
    const verifier = JwtVerifier.create({ issuer: ISSUER, audience: AUDIENCE, jwksUri: KEYS_URL })
    verifier.cacheJwks({ keys: [jwk] })
    return (token) => verifier.verifySync(token)
  },
  hono: async ({ jwk }) => (token) => verifyWithHono(token, jwk, jwk.alg),
}

/** The same with every option that makes them stricter. */
const STRICT = {
  countersign: BY_DEFAULT.countersign,
  jose: async ({ jwk }) => {
    const imported = await importJWK(jwk, 'RS256')
    const options = { issuer: ISSUER, audience: AUDIENCE, algorithms: ['RS256'], typ: 'at+jwt', requiredClaims: ['exp'] }
    return (token) => jwtVerify(token, imported, options)
  },
  'fast-jwt': async (key) => createFastVerifier({
    key: pemOf(key),
    algorithms: ['RS256'],
    allowedIss: ISSUER,
    allowedAud: AUDIENCE,
    checkTyp: 'at+jwt',
    requiredClaims: ['iss', 'aud', 'exp'],
  }),
  jsonwebtoken: async (key) => (token) => jwt.verify(token, pemOf(key), { issuer: ISSUER, audience: AUDIENCE, algorithms: ['RS256'] }),
  'aws-jwt-verify': BY_DEFAULT['aws-jwt-verify'],
  hono: async ({ jwk }) => (token) => verifyWithHono(token, jwk, { alg: 'RS256', iss: ISSUER, aud: AUDIENCE, typ: 'at+jwt' }),
}

/** The endpoint of the key set: its keys, and a count of the requests. */
let endpoint

async function fetchKeys() {
  endpoint.requests++
  if (endpoint.isDown) throw new TypeError('fetch failed')
  return Response.json({ keys: endpoint.keys.map(({ jwk }) => jwk) })
}

/** Each makes a function that verifies with the keys of a URL, and everything else as by default. */
const BY_URL = {
  countersign: () => {
    const verifier = createVerifier({ issuer: ISSUER, audience: AUDIENCE, jwks: KEYS_URL, fetch: fetchKeys })
    return async (token) => (await verifier).verify(token)
  },
  jose: () => {
    const keys = createRemoteJWKSet(new URL(KEYS_URL), { [customFetch]: fetchKeys })
    return (token) => jwtVerify(token, keys)
  },
  jsonwebtoken: () => {
    const { getSigningKey } = jwksClient({ jwksUri: KEYS_URL, fetcher: async () => (await fetchKeys()).json() })
    const getKey = (header, done) => getSigningKey(header.kid).then((found) => done(null, found.getPublicKey()), done)
    return (token) => new Promise((resolve, reject) => {
      jwt.verify(token, getKey, (error, payload) => (error ? reject(error) : resolve(payload)))
    })
  },
  'aws-jwt-verify': () => {
    const fetcher = { fetch: async () => (await fetchKeys()).arrayBuffer() }
    const policy = { issuer: ISSUER, audience: AUDIENCE, jwksUri: KEYS_URL }
    const verifier = JwtVerifier.create(policy, { jwksCache: new SimpleJwksCache({ fetcher }) })
    return (token) => verifier.verify(token)
  },
  hono: () => async (token) => {
    const { fetch } = globalThis
    globalThis.fetch = fetchKeys
    try {
      return await verifyWithJwks(token, { jwks_uri: KEYS_URL, allowedAlgorithms: ['RS256'], verification: { typ: 'at+jwt' } })
    } finally {
      globalThis.fetch = fetch
    }
  },
}

const verdictOf = (verify, token) => Promise.resolve(token).then(verify).then(() => 'accepted', () => 'refused')

/** Compares a table with its probes. Each has the name of a row, and returns the cell of a library. */
function check(heading, probes) {
  test(heading, async () => {
    const [[, ...names], ...rows] = table(page, heading)
    assert.deepEqual(names, NAMES)
    const found = []
    for (const [label, probe] of Object.entries(probes)) {
      const cells = []
      for (const name of NAMES) cells.push(String(await probe(name)))
      found.push([label, ...cells])
    }
    assert.deepEqual(rows, found, `expected:\n${found.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}`)
  })
}

/** A token with the type that the library accepts by default. */
const typeOf = (name) => ({ typ: name === 'hono' ? 'JWT' : 'at+jwt' })

const byDefault = (make) => async (name) => {
  const verify = await BY_DEFAULT[name](key)
  await verify(token({}, typeOf(name)))
  return verdictOf(verify, make(typeOf(name)))
}

check('Without options', {
  'a token of another issuer with the same keys': byDefault((type) => token({ iss: 'https://other.example' }, type)),
  'a token for another service': byDefault((type) => token({ aud: 'other' }, type)),
  'a token that never expires': byDefault((type) => token({ exp: undefined }, type)),
  'an ID token with `typ: JWT`': byDefault(() => token({}, { typ: 'JWT' })),
  'a token with RS512, another algorithm of the same key': byDefault((type) => {
    return signedAs({ alg: 'RS512', ...type }, (input) => sign('sha512', input, key.privateKey))
  }),
})

/** Signs a good payload in another way. */
function signedAs(header, sign) {
  const input = [{ kid: 'k1', ...header }, payload()].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${input}.${sign(Buffer.from(input)).toString('base64url')}`
}

const strictly = (odd, from = key) => async (name) => {
  await (await STRICT[name](key))(token())
  // A library may refuse the key itself.
  return STRICT[name](from).then((verify) => verdictOf(verify, odd), () => 'refused')
}

const type = { typ: 'at+jwt' }
const none = signedAs({ alg: 'none', ...type }, () => Buffer.of())
const hmac = signedAs({ alg: 'HS256', ...type }, (input) => createHmac('sha256', pemOf(key)).update(input).digest())
const odd = Object.entries(oddTokens({ key, small, payload }))

check('With the strictest options', {
  '`alg: none`, without a signature': strictly(none),
  'HS256, with the public key as the secret': strictly(hmac),
  'a key of the attacker in the header (`jwk`)': strictly(makeToken({ ...next, kid: 'k1' }, payload(), { jwk: next.jwk })),
  ...Object.fromEntries(odd.map(([label, odd]) => [label, strictly(odd, label.includes('1024') ? small : key)])),
  'a token of one megabyte': strictly(token({ x: 'x'.repeat(1e6) })),
})

/** Runs a probe with a new endpoint, and a verifier that has fetched its keys. */
const byUrl = (probe) => async (name) => {
  if (!(name in BY_URL)) return '–'
  endpoint = { keys: [key], requests: 0, isDown: false }
  const verify = BY_URL[name]()
  await verify(token())
  const requests = endpoint.requests
  return probe(verify, () => endpoint.requests - requests)
}

const HOUR = 3600

check('Keys from a URL', {
  'requests for 100 more tokens': byUrl(async (verify, requests) => {
    for (let i = 0; i < 100; i++) await verify(token())
    return requests()
  }),
  'a token of a new key, after a minute': byUrl((verify) => {
    endpoint.keys = [key, next]
    pass(60)
    return verdictOf(verify, makeToken(next, payload()))
  }),
  'a token of a key that the issuer withdrew an hour ago': byUrl((verify) => {
    endpoint.keys = [next]
    pass(HOUR)
    return verdictOf(verify, token())
  }),
  'a good token, if the endpoint has failed for an hour': byUrl((verify) => {
    endpoint.isDown = true
    pass(HOUR)
    return verdictOf(verify, token())
  }),
  'requests for 20 tokens in that hour, at once': byUrl(async (verify, requests) => {
    endpoint.isDown = true
    pass(HOUR)
    for (let i = 0; i < 20; i++) await verdictOf(verify, token())
    return requests()
  }),
  'requests for 100 tokens with unknown `kid`s, in 5 s': byUrl(async (verify, requests) => {
    for (let i = 0; i < 100; i++) {
      pass(0.05)
      await verdictOf(verify, makeToken({ ...key, kid: `unknown-${i}` }, payload()))
    }
    return requests()
  }),
})

/** Tokens with one fault each, for a key of the tests. */
const faulty = () => [
  token({ exp: seconds() - 60 }),
  token({ nbf: seconds() + 600 }),
  token({ iss: 'https://other.example' }),
  token({ aud: 'other' }),
  makeToken({ ...next, kid: 'k1' }, payload()),
  hmac,
  'abc',
]

async function refusals(name) {
  const verify = await STRICT[name](key)
  return Promise.all(faulty().map((token) => {
    return Promise.resolve(token).then(verify).then(() => assert.fail(`${name} accepts ${token}`), (error) => ({ token, error }))
  }))
}

check('Errors', {
  'names for 7 faults: expired, too early, issuer, audience, signature, algorithm, form': async (name) => {
    const names = (await refusals(name)).map(({ error }) => error.code ?? error.constructor.name)
    return new Set(names).size
  },
  'a message may contain the token': async (name) => {
    const all = await refusals(name)
    return all.some(({ token, error }) => token.length > 3 && error.message.includes(token)) ? 'yes' : 'no'
  },
})

const elliptic = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ES256 = {
  kid: 'k1',
  privateKey: elliptic.privateKey,
  jwk: { ...elliptic.publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'ES256', use: 'sig' },
}

/** The main module of each library. */
const MODULES = Object.fromEntries(await Promise.all(NAMES.map(async (name) => [name, await import(name === 'hono' ? 'hono/jwt' : name)])))
const exportsA = (pattern) => (name) => {
  const { default: main = {}, ...names } = MODULES[name]
  return Object.keys({ ...names, ...main }).some((name) => pattern.test(name)) ? 'yes' : 'no'
}

check('Functions', {
  'verifies ES256': async (name) => {
    const token = signedAs({ alg: 'ES256', ...typeOf(name) }, (input) => sign('sha256', input, { key: ES256.privateKey, dsaEncoding: 'ieee-p1363' }))
    const verify = await BY_DEFAULT[name](ES256).catch(() => undefined)
    return verify !== undefined && (await verdictOf(verify, token)) === 'accepted' ? 'yes' : 'no'
  },
  'signs tokens': exportsA(/sign/i),
  'decrypts tokens': exportsA(/decrypt/i),
  'can verify without a promise': async (name) => {
    const result = (await BY_DEFAULT[name](key))(token({}, typeOf(name)))
    return result instanceof Promise ? 'no' : 'yes'
  },
  'other packages that it installs': (name) => dependenciesOf(name).size,
  'types for TypeScript': (name) => (hasTypes(name) ? 'yes' : `\`@types/${name}\``),
})

function manifestOf(name) {
  return JSON.parse(readFileSync(`${ROOT}node_modules/${name}/package.json`, 'utf8'))
}

function dependenciesOf(name, found = new Set()) {
  for (const dependency of Object.keys(manifestOf(name).dependencies ?? {})) {
    if (!found.has(dependency)) dependenciesOf(dependency, found.add(dependency))
  }
  return found
}

const hasTypes = (name) => /\.d\.ts"/.test(JSON.stringify(manifestOf(name)))

/** A page that verifies tokens with the keys of a URL. */
const PAGES = {
  countersign: read('bench/download/countersign.js'),
  jose: read('bench/download/jose.js'),
  'fast-jwt': `import { createVerifier } from 'fast-jwt'; globalThis.verifier = createVerifier`,
  jsonwebtoken: `import jwt from 'jsonwebtoken'; globalThis.verifier = jwt.verify`,
  'aws-jwt-verify': `import { JwtVerifier } from 'aws-jwt-verify'; globalThis.verifier = JwtVerifier.create({
    issuer: 'https://auth.example', audience: 'https://api.example', jwksUri: 'https://auth.example/.well-known/jwks.json' })`,
  hono: `import { verifyWithJwks } from 'hono/jwt'; globalThis.verifier = (token) => verifyWithJwks(token, {
    jwks_uri: 'https://auth.example/.well-known/jwks.json', allowedAlgorithms: ['RS256'],
    verification: { iss: 'https://auth.example', aud: 'https://api.example' } })`,
}

/** Returns the download of a page in bytes, or nothing if it cannot be built for browsers. */
async function downloadOf(name) {
  const stdin = { contents: PAGES[name], resolveDir: `${ROOT}bench/download` }
  const options = { stdin, bundle: true, splitting: true, minify: true, format: 'esm', target: 'es2022', outdir: 'out', write: false }
  const built = await build({ ...options, logLevel: 'silent' }).catch(() => undefined)
  const script = built?.outputFiles.find(({ path }) => path.endsWith('stdin.js'))
  if (script === undefined) return undefined
  const files = name === 'countersign' ? [readFileSync(`${ROOT}pkg/dist/wasm/countersign.relaxed.wasm`)] : []
  return [script.contents, ...files].reduce((sum, file) => sum + brotliCompressSync(file).length, 0)
}

/** The table of times in the package's README has a time only for a library that ran in the runtime, and gave right verdicts. */
const [headings, ...times] = table(read('pkg/README.md'), 'How fast')
const runsIn = (runtime) => (name) => {
  const row = times.find(([label]) => label.startsWith(runtime))
  return row[headings.findIndex((heading) => heading.replaceAll('*', '').startsWith(name))] === '–' ? 'no' : 'yes'
}

check('Where they run', {
  'Node.js': runsIn('Node.js 24'),
  Deno: runsIn('Deno'),
  Bun: runsIn('Bun'),
  'Cloudflare Workers': runsIn('workerd'),
  Chromium: runsIn('Chromium'),
  Firefox: runsIn('Firefox'),
  WebKit: runsIn('WebKitGTK'),
  'download of a page, KB': async (name) => {
    const bytes = await downloadOf(name)
    return bytes === undefined ? '–' : Math.round(bytes / 1000)
  },
})

test('the page names the versions that the tests install', () => {
  for (const name of [...NAMES.slice(1), 'jwks-rsa']) {
    assert.ok(page.includes(`${name} ${manifestOf(name).version}`), name)
  }
})
