// The WebAssembly module refuses a valid token after a change of any one character.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVerifier } from 'countersign'
import { makeKey, makeToken, options } from './package-tokens.js'
import { changes } from './support/tampering.js'

const key = makeKey('k1')
const verifier = await createVerifier(options([key]))
const token = makeToken(key)

/** The codes of a change, by the part of the token. */
const CODES = {
  header: ['token_malformed', 'header_invalid', 'algorithm_not_allowed', 'type_mismatch', 'key_not_found', 'signature_invalid'],
  payload: ['token_malformed', 'signature_invalid'],
  signature: ['token_malformed', 'signature_invalid'],
  dot: ['token_malformed'],
}

test('a token with one character changed is refused with a code of the changed part', () => {
  verifier.verifySync(token)
  const seen = { header: new Set(), payload: new Set(), signature: new Set(), dot: new Set() }
  for (const { changed, at, part } of changes(token)) {
    const code = codeOf(() => verifier.verifySync(changed))
    assert.ok(CODES[part].includes(code), `character ${at}, in the ${part}: ${code}`)
    seen[part].add(code)
  }
  for (const [part, codes] of Object.entries(CODES)) assert.deepEqual([...seen[part]].sort(), [...codes].sort(), part)
})

function codeOf(verify) {
  try {
    verify()
    return 'ok'
  } catch (error) {
    return error.code
  }
}
