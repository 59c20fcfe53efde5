// The most common mistakes. Each is refused with one line that names the likely cause and a remedy. The line contains
// no part of the token or of a key.
import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { createVerifier, VerifyError } from 'countersign'
import { Miniflare } from 'miniflare'
import { endpoint, jwks, key, next, status } from './package-endpoint.js'
import { claims, ISSUER, makeToken, NOW, options } from './package-tokens.js'

const privatePem = key.privateKey.export({ format: 'pem', type: 'pkcs8' })
const publicPem = createPublicKey(key.privateKey).export({ format: 'pem', type: 'spki' })
const privateJwk = { ...key.jwk, ...key.privateKey.export({ format: 'jwk' }) }
const { n } = key.jwk
const LEAKED = [/private( or secret)? key/, /remove it, and rotate it, since it may have leaked/]

/** Each case changes the options, the token or the answer of the endpoint, and names the expected refusal. */
const mistakes = [
  {
    name: 'a token of typ JWT where an access token is expected',
    token: makeToken(key, claims(), { typ: 'JWT' }),
    code: 'type_mismatch',
    says: [/typ is not "at\+jwt"/, /is it an ID token\?/, /set the option type to it \(type: 'JWT'\)/, /only if its ID tokens have another aud$/],
  },
  {
    name: 'a token without typ',
    token: makeToken(key, claims(), { typ: undefined }),
    code: 'type_mismatch',
    says: [/the header has no typ/, /"at\+jwt"/, /type: null/, /only if its ID tokens have another aud, or the option claims tells them apart$/],
  },
  {
    name: 'a token without typ after typ JWT was tried',
    token: makeToken(key, claims(), { typ: undefined }),
    options: { type: 'JWT' },
    code: 'type_mismatch',
    says: [/the header has no typ: expected "JWT"/, /type: null/, /^(?!.*type: 'JWT')/],
  },
  {
    name: 'a token with a typ that is null',
    token: makeToken(key, claims(), { typ: null }),
    code: 'header_invalid',
    says: [/typ is null: expected a string/],
  },
  ...['iat', 'exp', 'nbf'].map((claim) => ({
    name: `a token whose ${claim} is in milliseconds`,
    token: makeToken(key, claims({ [claim]: (NOW + 60) * 1000 })),
    code: 'claim_invalid',
    says: [new RegExp(`the claim ${claim} is a number of milliseconds`), /expected seconds: divide by 1000/],
  })),
  {
    name: 'a token whose iat is null',
    token: makeToken(key, claims({ iat: null })),
    code: 'claim_invalid',
    says: [/the claim iat is null: expected a number of seconds/],
  },
  {
    name: 'a token whose sub is a number',
    token: makeToken(key, claims({ sub: 1234567890123 })),
    code: 'claim_invalid',
    says: [/the claim sub is a number: expected a string \(RFC 7519\)/, /only its issuer can/],
  },
  {
    name: 'a token without aud',
    token: makeToken(key, claims({ aud: undefined })),
    code: 'claim_missing',
    says: [/the required claim aud is missing/],
  },
  {
    name: 'a token whose tenant is not in the option claims',
    options: { claims: { tid: 'tenant-1' } },
    token: makeToken(key, claims({ tid: 'client-1' })),
    code: 'claim_mismatch',
    says: [/the claim tid .* expected "tenant-1"/],
  },
  {
    name: 'a token without the tenant that the issuer holds',
    options: { issuer: 'https://login.example/{tid}/v2.0' },
    token: makeToken(key, claims({ iss: 'https://login.example/client-1/v2.0' })),
    code: 'claim_missing',
    says: [/the required claim tid is missing/],
  },
  {
    name: 'a token for an API of its issuer alone',
    token: makeToken({ ...key, privateKey: next.privateKey }, claims(), { nonce: 'client-1' }),
    code: 'signature_invalid',
    says: [/its header has a nonce/, /ask the issuer for a token for your own API/],
  },
  { name: 'an empty set', options: { jwks: { keys: [] } }, code: 'key_not_found', says: [/the key set is empty: its issuer must publish the keys/] },
  { name: 'a null audience alone', options: { audience: null }, code: 'options_invalid', says: [/`audience` may be null only if the option claims names a claim/] },
  {
    name: 'a claim that is expected to be an object',
    options: { claims: { tid: { eq: 'client-1' } } },
    code: 'options_invalid',
    says: [/`claims` is or holds an object; expected a string, a number, a boolean, or an array of them, for each claim: \{ client_id: "web" \}/],
  },
  {
    name: 'a redirected key set',
    answer: status(302, { location: 'https://other.example/keys?secret=client-1' }),
    code: 'jwks_unavailable',
    says: [/the response is a redirect to https:\/\/other\.example\/keys; give the final URL/],
  },
  {
    name: 'a fetched set without a usable key',
    answer: jwks([{ jwk: { kty: 'EC', crv: 'P-256', x: n, y: n } }]),
    code: 'jwks_unavailable',
    says: [/none of its 1 keys is usable; expected a public RSA key for RS256, of 2048 bits or more: countersign lint says why/],
  },
  { name: 'a fetched set of 1001 keys', answer: jwks(Array(1001).fill(key)), code: 'jwks_invalid', says: [/the key set has more than 1000 keys/] },
  { name: 'a given set of 1001 keys', options: { jwks: { keys: Array(1001).fill(key.jwk) } }, code: 'jwks_invalid', says: [/the key set has more than 1000 keys/] },
  {
    name: 'an issuer that ends in a slash',
    token: makeToken(key, claims({ iss: `${ISSUER}/` })),
    code: 'issuer_mismatch',
    says: [/"https:\/\/auth\.example"/, /differ by a \/ at the end/, /set the option issuer as in the issuer's metadata/],
  },
  {
    name: 'an option issuer with an extra slash',
    options: { issuer: ['https://other.example', `${ISSUER}/`] },
    code: 'issuer_mismatch',
    says: [/differ by a \/ at the end/, /set the option issuer/],
  },
  {
    name: 'an aud that lacks the audience',
    token: makeToken(key, claims({ aud: 'client-1' })),
    code: 'audience_mismatch',
    says: [/does not hold the expected audience, "api"/, /is it for another API, or an ID token\?/, /Ask the issuer for this audience, or correct the option audience/],
  },
  {
    name: 'an array aud that lacks the audience',
    token: makeToken(key, claims({ aud: ['client-1', 'client-2'] })),
    code: 'audience_mismatch',
    says: [/does not hold the expected audience, "api"/, /is it for another API, or an ID token\?/, /Ask the issuer for this audience, or correct the option audience/],
  },
  {
    name: 'a missing option audience',
    options: { audience: undefined },
    code: 'options_invalid',
    says: [/`audience` is required/, /tokens name it in iss or aud/],
  },
  {
    name: 'an audience under the claim\'s name',
    options: { audience: undefined, aud: 'api' },
    code: 'options_invalid',
    says: [/`aud` is unknown/, /did you mean audience\?/],
  },
  {
    name: 'a key set under its name in the metadata',
    options: { jwks: undefined, jwks_uri: 'https://auth.example/jwks' },
    code: 'options_invalid',
    says: [/`jwks_uri` is unknown/, /did you mean jwks\?/],
  },
  {
    name: 'a URL of a page instead of a key set',
    answer: status(200, { 'content-type': 'text/html' }, '<!doctype html><div id="root"></div>'),
    code: 'jwks_unavailable',
    says: [/HTML or XML, not JSON \(text\/html\)/, /expected a JWK Set, whose URL is the jwks_uri in the issuer's metadata/],
  },
  { name: 'a private JWK in a set', options: { jwks: { keys: [privateJwk] } }, code: 'key_rejected', says: LEAKED },
  { name: 'a private JWK instead of a set', options: { jwks: privateJwk }, code: 'options_invalid', says: LEAKED },
  { name: 'a private JWK in a fetched set', answer: jwks([{ jwk: privateJwk }]), code: 'jwks_unavailable', says: LEAKED },
  { name: 'an empty fetched set', answer: jwks([]), code: 'jwks_unavailable', says: [/no key set from http/, /the set is empty; expected the keys that the issuer signs with/] },
  { name: 'a fetched private JWK', answer: status(200, {}, JSON.stringify(privateJwk)), code: 'jwks_invalid', says: LEAKED },
  { name: 'a private key as PEM', options: { jwks: privatePem }, code: 'options_invalid', says: LEAKED },
  {
    name: 'a private key as PKCS #1 PEM',
    options: { jwks: `\n${key.privateKey.export({ format: 'pem', type: 'pkcs1' })}` },
    code: 'options_invalid',
    says: LEAKED,
  },
  { name: 'a private JWK as JSON text', options: { jwks: JSON.stringify({ keys: [privateJwk] }) }, code: 'options_invalid', says: LEAKED },
  {
    name: 'a public key as PEM',
    options: { jwks: publicPem },
    code: 'options_invalid',
    says: [/PEM text/, /expected a JWK Set, whose URL is the jwks_uri/, /createPublicKey\(pem\)\.export\(\{ format: 'jwk' \}\), kid/],
  },
  {
    name: 'a JWK Set as JSON text',
    options: { jwks: JSON.stringify({ keys: [key.jwk] }) },
    code: 'options_invalid',
    says: [/JSON text/, /JSON\.parse\(text\)/],
  },
  {
    name: 'an issuer whose clock is three minutes ahead',
    token: makeToken(key, claims({ iat: NOW + 180 })),
    code: 'token_not_yet_valid',
    says: [/iat lies 180 s ahead of this clock/, /if a clock is wrong, set it, or the option clockTolerance \(up to 300 s\)/],
  },
  {
    name: 'a token that is not valid yet',
    token: makeToken(key, claims({ nbf: NOW + 60 })),
    code: 'token_not_yet_valid',
    says: [/nbf lies 60 s ahead of this clock/, /if a clock is wrong, set it, or the option clockTolerance \(up to 300 s\)/],
  },
  {
    name: 'a token that expired two minutes ago',
    token: makeToken(key, claims({ exp: NOW - 120 })),
    code: 'token_expired',
    says: [/expired 120 s ago: get a new one/, /if a clock is wrong, set it, or the option clockTolerance \(up to 300 s\)/],
  },
]

/** The changed members of the token's key, and the words of the refusal: the member, its size or type, and what was expected. */
const keyFaults = {
  'another kty': [{ kty: 'EC' }, /its kty is not "RSA"/],
  'another use': [{ use: 'enc' }, /its use is not "sig"/],
  'other key_ops': [{ key_ops: ['encrypt'] }, /its key_ops do not contain "verify"/],
  'another alg': [{ alg: 'RS512' }, /its alg is not "RS256"/],
  'a certificate alone': [{ n: undefined, e: undefined, x5c: ['MIIBIjANBgkqhkiG9w0'] }, /its modulus n and exponent e are missing: its certificate \(x5c\) is not read/],
  'no n': [{ n: undefined }, /its modulus n is missing: expected a number in base64url/],
  'an n that is null': [{ n: null }, /its modulus n is missing: expected a number in base64url/],
  'an n that is a number': [{ n: 1234567890123 }, /its modulus n is (?:not a string|a number): expected a number in base64url/],
  'an n with a line break': [{ n: `${n.slice(0, 64)}\n${n.slice(64)}` }, /its modulus n holds a character outside the base64url alphabet \(A-Z a-z 0-9 - _\)/],
  'an n that is zero': [{ n: 'AAAA' }, /its modulus n is empty or zero/],
  'an n that is too short': [{ n: `${n.slice(0, 170)}A` }, /its modulus n has 1024 bits: expected 2048 to 8192/],
  'an n that is too long': [{ n: n.repeat(5) }, /its modulus n has 10256 bits: expected 2048 to 8192/],
  'an even n': [{ n: `${n.slice(0, -2)}AA` }, /its modulus n is even/],
  'no e': [{ e: undefined }, /its exponent e is missing: expected a number in base64url/],
  'an e that is a number': [{ e: 65537 }, /its exponent e is (?:not a string|a number): expected a number in base64url/],
  'an even e': [{ e: 'Ag' }, /its exponent e .* odd.* 3 .* 2\^33/],
  'a private member': [{ d: privateJwk.d }, ...LEAKED],
}
for (const [name, [changes, ...says]] of Object.entries(keyFaults)) {
  mistakes.push({ name: `a key with ${name}`, options: { jwks: { keys: [{ ...key.jwk, ...changes }] } }, code: 'key_rejected', says: [/^the token's key must not be used: it/, ...says] })
}

for (const { name, options: changes, token = makeToken(key), answer, code, says } of mistakes) {
  test(`${name} is refused with a cause and a remedy`, async (t) => {
    const url = answer && { jwks: (await endpoint(t, answer)).url }
    const { message, wwwAuthenticate, ...refusal } = await refusalOf({ ...changes, ...url }, token)
    assert.equal(refusal.code, code)
    for (const words of says) assert.match(message, words)
    assert.match(message, /^[^\n]+$/)
    for (const text of [message, wwwAuthenticate]) assertShowsNothing(text, token)
    if (refusal.stage !== 'options' && !code.startsWith('jwks')) {
      // The challenge has the fault, without the advice, and without issuers and audiences.
      const [, description] = /error_description="([^"]+)"/.exec(wwwAuthenticate)
      assert.ok(message.replaceAll('"', "'").startsWith(description), wwwAuthenticate)
      assert.ok(wwwAuthenticate.length <= 200)
      for (const name of [ISSUER, "'api'"]) assert.ok(!wwwAuthenticate.includes(name), wwwAuthenticate)
    }
  })
}

test('the JWK that the message suggests instead of PEM verifies', async () => {
  const jwk = { ...createPublicKey(publicPem).export({ format: 'jwk' }), kid: key.kid }
  const verifier = await createVerifier(options([], { jwks: { keys: [jwk] } }))
  assert.equal(verifier.verifySync(makeToken(key)).payload.sub, 'somebody')
})

test('the message mentions a slash only if nothing else differs', async () => {
  for (const iss of ['https://auth.example.evil', `${ISSUER}//`, '/', 'https://auth.exampl']) {
    const { code, message } = await refusalOf({}, makeToken(key, claims({ iss })))
    assert.equal(code, 'issuer_mismatch')
    assert.doesNotMatch(message, /differ by/)
  }
})

test('countersign/inline in a Worker names the entry point to import instead', async (t) => {
  const dist = new URL('../../pkg/dist/', import.meta.url)
  const names = (await readdir(dist, { recursive: true })).filter((name) => name.endsWith('.js') && !name.startsWith('cli'))
  const modules = await Promise.all(names.map(async (name) => {
    return { type: 'ESModule', path: name, contents: await readFile(new URL(name, dist), 'utf8') }
  }))
  const contents = `
    import { createVerifierSync } from './inline.js'
    export default {
      async fetch(request) {
        try {
          createVerifierSync(await request.json())
        } catch (error) {
          return new Response(error.message)
        }
      },
    }`
  const needed = modules.filter(({ path }) => !['workerd.js', 'node.js'].includes(path))
  const worker = new Miniflare({ modules: [{ type: 'ESModule', path: 'worker.js', contents }, ...needed], compatibilityDate: '2024-09-23' })
  t.after(() => worker.dispose())
  const body = JSON.stringify({ ...options([key]), now: undefined })
  const message = await (await worker.dispatchFetch('http://worker/', { method: 'POST', body })).text()
  assert.match(message, /not compiled from bytes here/)
  assert.match(message, /in Cloudflare Workers, import 'countersign' instead of 'countersign\/inline'/)
  assert.match(message, /script-src needs 'wasm-unsafe-eval'/)
})

async function refusalOf(changes, token) {
  try {
    await (await createVerifier(options([key], changes))).verify(token)
  } catch (error) {
    assert.ok(error instanceof VerifyError, String(error))
    return { code: error.code, stage: error.stage, message: error.message, wwwAuthenticate: error.wwwAuthenticate }
  }
  assert.fail('accepted')
}

function assertShowsNothing(text, token) {
  const lines = `${privatePem}${publicPem}`.split('\n').filter((line) => line !== '' && !line.startsWith('-'))
  const members = Object.values(privateJwk).filter((value) => value.length > 10)
  for (const secret of [...token.split('.'), ...lines, ...members, 'client-1', '1234567890123']) assert.ok(!text.includes(secret))
}
