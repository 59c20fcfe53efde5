// Tokens with a good signature that some libraries accept and others refuse.
import { makeToken } from '../package-tokens.js'

/**
 * Returns the tokens by the words of the documents for them.
 *
 * @param {{ key: object, small: object, payload: (changes?: object) => object }} source two keys of `makeKey`, the second one of
 *   1024 bits; `payload` returns claims that are valid now
 */
export function oddTokens({ key, small, payload }) {
  const token = (changes, header) => makeToken(key, payload(changes), header)
  const { iat: now } = payload()
  const json = JSON.stringify(payload()).slice(0, -1)
  return {
    'no `exp`: it never expires': token({ exp: undefined }),
    '`exp` in milliseconds: it expires in 50,000 years': token({ exp: (now + 900) * 1000 }),
    '`iat` an hour from now': token({ iat: now + 3600, exp: now + 7200 }),
    '`typ` is not `at+jwt`, such as an ID token': token({}, { typ: 'JWT' }),
    '`sub` twice, with two values': makeToken(key, `${json},"sub":"admin"}`),
    'a claim `__proto__`': makeToken(key, `${json},"__proto__":{"admin":true}}`),
    '`sub` is a number': token({ sub: 7 }),
    '`crit` names an unknown extension': token({}, { crit: ['x'], x: 1 }),
    'signed with a key of 1024 bits': makeToken(small, payload()),
    'another last character, which decodes to the same signature': withOtherEnd(token()),
    'a space inside the signature': token().replace(/.{5}$/, ' $&'),
    'a payload that is not UTF-8': makeToken(key, Buffer.concat([Buffer.from(`${json},"x":"`), Buffer.of(0xff), Buffer.from('"}')])),
    'a payload with 100 nested arrays': makeToken(key, `${json},"x":${'['.repeat(100)}${']'.repeat(100)}}`),
  }
}

/** Changes the last character in the bits that a decoder drops. */
function withOtherEnd(token) {
  const other = Buffer.from(token.slice(-2), 'base64url')
  const end = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'].find((character) => {
    return character !== token.at(-1) && Buffer.from(token.at(-2) + character, 'base64url').equals(other)
  })
  return token.slice(0, -1) + end
}
