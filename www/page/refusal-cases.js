import { createVerifier } from 'countersign'
import { statusList } from 'countersign/status'
import { toBase64url } from './base64url.js'
import { TAMPERINGS } from './tamper.js'

const HOUR = 60 * 60

/** More groups than fit into a token of 16 KiB. */
const MANY_GROUPS = Array.from({ length: 1500 }, (_, i) => `group-${i}`)

/**
 * A refusal for each code, in the order of the verifier: `done` says what was done to the token, its key or the options, `change` is
 * the changed text, and `why` the reason for the rule. `make(issuer)` returns the `token`, and `options` that differ from the
 * issuer's own. `rfc` and `section` define the rule; those of the status are in a draft.
 */
export const CASES = [
  {
    code: 'options_invalid',
    done: 'The verifier is made without an audience.',
    change: "audience: ''",
    why: 'A verifier that does not know its own name accepts tokens for everybody. So a wrong option stops the program, and no token is looked at.',
    make: async (issuer) => ({ token: await issuer.sign(), options: { audience: '' } }),
  },
  {
    code: 'token_too_large',
    done: 'The user is in 1500 groups, and the issuer writes all of them into the token.',
    change: '"groups": ["group-0", "group-1", …]',
    why: 'Anybody can send a long text. A limit on the length keeps the work small for it.',
    make: async (issuer) => ({ token: await issuer.sign({ groups: MANY_GROUPS }) }),
  },
  {
    code: 'token_malformed',
    rfc: 7515,
    section: '5.2',
    done: 'A line break is left behind the token, as a file has it.',
    change: '….eyJpc3M….fZ3nQ↵',
    why: 'If two readers disagree on what a text is, one of them can be deceived. So there is one form of a token, without spaces, padding or doubled names.',
    make: async (issuer) => ({ token: `${await issuer.sign()}\n` }),
  },
  {
    code: 'header_invalid',
    rfc: 7515,
    section: '4.1',
    done: 'The header does not say which algorithm made the signature.',
    change: '"alg": absent',
    why: 'A header without its one required parameter is not a header.',
    make: async (issuer) => ({ token: await issuer.sign({}, { alg: undefined }) }),
  },
  {
    code: 'algorithm_not_allowed',
    rfc: 8725,
    section: '3.1',
    done: 'The header says that the token needs no signature.',
    change: '"alg": "none"',
    why: 'A verifier that lets the token choose the algorithm lets the forger choose it.',
    make: async (issuer) => ({ token: (await tampered('alg-none', issuer)).join('.') }),
  },
  {
    code: 'type_mismatch',
    rfc: 8725,
    section: '3.11',
    done: 'The header has the type of a plain JWT, such as an ID token.',
    change: '"typ": "JWT"',
    why: 'An ID token tells a client who has logged in. Whoever takes it as a permission lets every client act as its users.',
    make: async (issuer) => ({ token: (await tampered('type-jwt', issuer)).join('.') }),
  },
  {
    code: 'critical_unsupported',
    rfc: 7515,
    section: '4.1.11',
    done: 'The header demands an extension that changes what is signed.',
    change: '"crit": ["b64"], "b64": false',
    why: 'The issuer says: refuse this unless you understand it. This verifier understands none, so it does as it is told.',
    make: async (issuer) => ({ token: await issuer.sign({}, { crit: ['b64'], b64: false }) }),
  },
  {
    code: 'key_not_found',
    rfc: 7517,
    section: '4.5',
    done: 'The header names a key that the issuer never published.',
    change: '"kid": "a-key-of-my-own"',
    why: 'To try other keys would help only those who guess.',
    make: async (issuer) => ({ token: (await tampered('kid-unknown', issuer)).join('.') }),
  },
  {
    code: 'key_rejected',
    rfc: 7518,
    section: '3.3',
    done: 'The issuer publishes the key for encryption, and signs with it.',
    change: '"use": "enc"',
    why: 'A key for one purpose must not serve another. The same code refuses keys that are too short.',
    make: async (issuer) => ({ token: await issuer.sign(), options: { jwks: { keys: [{ ...keyOf(issuer), use: 'enc' }] } } }),
  },
  {
    code: 'jwks_unavailable',
    rfc: 8414,
    section: '2',
    done: 'The issuer is down when its keys are fetched.',
    change: 'HTTP/1.1 503 Service Unavailable',
    why: 'Without keys nobody can tell a good token from a forged one. The token may be good, so the caller may try again.',
    make: async (issuer) => ({ token: await issuer.sign(), options: { jwks: `${issuer.options.issuer}/jwks.json`, fetch: answering(503) } }),
  },
  {
    code: 'jwks_invalid',
    rfc: 7517,
    section: '5',
    done: 'The verifier is given the URL of the issuer’s metadata in the place of its keys.',
    change: '{ "issuer": …, "jwks_uri": … }',
    why: 'A document that is no key set is a fault of the configuration. It is said at once, before anybody searches for a fault in the token.',
    make: async (issuer) => {
      const metadata = { issuer: issuer.options.issuer, jwks_uri: `${issuer.options.issuer}/jwks.json` }
      return { token: await issuer.sign(), options: { jwks: `${issuer.options.issuer}/metadata`, fetch: async () => Response.json(metadata) } }
    },
  },
  {
    code: 'signature_invalid',
    rfc: 8017,
    section: '8.2.2',
    done: 'The subject is changed. The signature is still the one over the old payload.',
    change: '"sub": "admin"',
    why: 'The signature is over each byte before it. Only the issuer’s private key can make another.',
    make: async (issuer) => ({ token: (await tampered('payload-subject', issuer)).join('.') }),
  },
  {
    code: 'claim_missing',
    rfc: 9068,
    section: '2.2',
    done: 'The issuer leaves the expiry out.',
    change: '"exp": absent',
    why: 'A token without an end is good for ever, also for the one who steals it.',
    make: async (issuer) => ({ token: await issuer.sign({ exp: undefined }) }),
  },
  {
    code: 'claim_invalid',
    rfc: 7519,
    section: '4.1',
    done: 'The issuer writes the expiry in milliseconds.',
    change: '"exp": Date.now() + 300000',
    why: 'Read as seconds, that is a date tens of thousands of years ahead: a token that never ends.',
    make: async (issuer) => ({ token: await issuer.sign({ exp: Date.now() + 300_000 }) }),
  },
  {
    code: 'claim_mismatch',
    rfc: 8725,
    section: '3.12',
    done: 'The token is for the tenant “south”, and the service expects “north”.',
    change: '"tenant": "south"',
    why: 'One issuer serves many tenants with one key. Only the claim tells them apart.',
    make: async (issuer) => ({ token: await issuer.sign({ tenant: 'south' }), options: { claims: { tenant: 'north' } } }),
  },
  {
    code: 'issuer_mismatch',
    rfc: 7519,
    section: '4.1.1',
    done: 'The issuer writes its name with a slash at the end.',
    change: '"iss": "https://this-page.example/"',
    why: 'Names are compared letter by letter. A rule for “almost equal” would also accept what an attacker makes almost equal.',
    make: async (issuer) => ({ token: await issuer.sign({ iss: `${issuer.options.issuer}/` }) }),
  },
  {
    code: 'audience_mismatch',
    rfc: 7519,
    section: '4.1.3',
    done: 'The token is for another service.',
    change: '"aud": "billing"',
    why: 'A service that takes tokens for others can be called with what was stolen there, and the others can act as its users.',
    make: async (issuer) => ({ token: await issuer.sign({ aud: 'billing' }) }),
  },
  {
    code: 'token_expired',
    rfc: 7519,
    section: '4.1.4',
    done: 'The token ended a minute ago.',
    change: '"exp": now - 60',
    why: 'A short life limits the damage by a stolen token.',
    make: async (issuer) => ({ token: await issuer.sign({ iat: now() - 360, exp: now() - 60 }) }),
  },
  {
    code: 'token_not_yet_valid',
    rfc: 7519,
    section: '4.1.5',
    done: 'The token begins in two minutes.',
    change: '"nbf": now + 120',
    why: 'Mostly the issuer’s clock is ahead. In a moment the token is good, so the caller may try again.',
    make: async (issuer) => ({ token: await issuer.sign({ nbf: now() + 120 }) }),
  },
  {
    code: 'token_too_old',
    rfc: 7519,
    section: '4.1.6',
    done: 'The token is an hour old, and the service accepts at most ten minutes.',
    change: 'maxTokenAge: 600',
    why: 'A service can be stricter than the issuer, and decide how old a login may be.',
    make: async (issuer) => ({ token: await issuer.sign({ iat: now() - HOUR }), options: { maxTokenAge: 600 } }),
  },
  {
    code: 'scope_insufficient',
    rfc: 6750,
    section: '3.1',
    done: 'The token permits reading, and the route writes.',
    change: '"scope": "read"',
    why: 'The token is good, but not for this. A new login does not help, another permission does: the response is 403, not 401.',
    make: async (issuer) => ({ token: await issuer.sign({ scope: 'read' }), options: { scope: 'write' } }),
  },
  {
    code: 'token_revoked',
    done: 'The user has logged out, and the issuer’s status list says so.',
    change: 'status list: 1 at index 0',
    why: 'A signature cannot be taken back. A list of statuses, fetched once a minute, can say that a session has ended.',
    make: async (issuer) => withStatus(issuer, async () => new Response(await revokedList(issuer))),
  },
  {
    code: 'status_unavailable',
    done: 'The status list is not where the token says.',
    change: 'HTTP/1.1 404 Not Found',
    why: 'Nobody can say if the token was revoked, so it is not accepted. The token may be good, so the caller may try again.',
    make: (issuer) => withStatus(issuer, answering(404)),
  },
]

/**
 * Makes a case and has the verifier refuse it.
 *
 * @param {(typeof CASES)[number]} example
 * @param {import('countersign/testing').TestIssuer} issuer
 * @returns {Promise<Error | undefined>} the `VerifyError`; undefined if the token was accepted
 */
export async function refusalOf({ make }, issuer) {
  const { token, options = {} } = await make(issuer)
  try {
    const verifier = await createVerifier({ ...issuer.options, ...options })
    await verifier.verify(token)
    return undefined
  } catch (error) {
    return error
  }
}

/** Returns the three parts of a token, forged as on the page “Try”. */
async function tampered(id, issuer) {
  const token = await issuer.sign({ sub: 'alice' })
  return TAMPERINGS.find((tampering) => tampering.id === id).apply(token.split('.'), issuer.options.jwks)
}

function keyOf({ options }) {
  return options.jwks.keys[0]
}

/** Returns a `fetch` that gets this answer from everywhere, without a request. */
function answering(status) {
  return async () => new Response('', { status })
}

/** Returns a token that names a status list, and the options of a verifier that gets the list from `fetch`. */
async function withStatus(issuer, fetch) {
  const uri = statusUri(issuer)
  return { token: await issuer.sign({ status: { status_list: { idx: 0, uri } } }), options: { fetch, status: statusList() } }
}

function statusUri({ options }) {
  return `${options.issuer}/status/1`
}

/** Signs a status list with one bit for each token, of which the first is set. */
async function revokedList(issuer) {
  const bits = new Blob([Uint8Array.of(1)]).stream().pipeThrough(new CompressionStream('deflate'))
  const lst = toBase64url(new Uint8Array(await new Response(bits).arrayBuffer()))
  return issuer.sign({ sub: statusUri(issuer), ttl: 60, status_list: { bits: 1, lst } }, { typ: 'statuslist+jwt' })
}

function now() {
  return Math.floor(Date.now() / 1000)
}
