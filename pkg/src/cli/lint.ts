import { fetchDocument } from '../fetch-document.js'
import { createVerifier, VerifyError, type JwkSet } from '../node.js'
import { DEFAULTS } from '../options.js'
import { exitCodeOf, type Command } from './command.js'
import { describe, examineAll, parseKeySet, problemOf, type Finding } from './findings.js'
import { ALLOW_HTTP_FLAG, readKeySet, readKeySource } from './input.js'
import { show, showMessage } from './show.js'
import { err, out } from './terminal.js'
import { UsageError } from './usage-error.js'

export const lint: Command = {
  summary: 'check each key of a JWK Set',
  about: `Checks each key of a JWK Set: is it usable for a verifier, and if not, why? Warns about keys that
this package accepts, but other software may not. JWKS is a URL or a file. Without it, or with -,
reads standard input.`,
  argument: { name: '[JWKS | -]', complete: 'files' },
  flags: {
    'allow-http': ALLOW_HTTP_FLAG,
    json: { help: 'print JSON: { keys: [{ kid, kty, usable, private, warnings, code?, message?, … }] }' },
  },
  example: 'curl --silent https://auth.example/.well-known/jwks.json | countersign lint',
  exitCodes: '0 success; 1 no key is usable, or one is private; 2 usage error, or JWKS is no JWK Set; 3 JWKS cannot be fetched now.',

  async run(line) {
    const [name = '-', ...others] = line.positionals
    const isMissing = line.positionals.length === 0 && process.stdin.isTTY
    if (isMissing || others.length > 0) throw new UsageError('expected one key set: a URL, a file, or - for standard input')
    let findings: Finding[]
    try {
      const set = await load(name, line.has('allow-http'))
      findings = await examineAll(set, createVerifier)
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error
      err.line(`${err.paint('red', error.code)}: ${showMessage(error.message)}`)
      return exitCodeOf(error)
    }
    if (line.has('json')) printJson(findings)
    else print(findings)
    return findings.some(({ refusal }) => refusal === undefined) && !findings.some(({ secret }) => secret) ? 0 : 1
  },
}

async function load(name: string, allowHttp: boolean): Promise<JwkSet> {
  const source = await readKeySource(name, allowHttp)
  // It loads the module, and with it the coders of texts that a fetch needs.
  await createVerifier({ issuer: '-', audience: '-', jwks: { keys: [] } })
  return parseKeySet('url' in source ? await fetchText(source.url, allowHttp) : source.text, createVerifier)
}

async function fetchText(jwks: string, allowHttp: boolean): Promise<string> {
  const url = new URL(jwks)
  const { text } = await fetchDocument('key set', url, { ...DEFAULTS.remote, allowHttp }, undefined)
  readKeySet(`${url.origin}${url.pathname}`, text)
  return text
}

function print(findings: readonly Finding[]): void {
  const usable = findings.filter(({ refusal }) => refusal === undefined).length
  out.line(`${findings.length} ${findings.length === 1 ? 'key' : 'keys'}, ${usable} usable`)
  if (findings.length === 0) return
  out.line()
  const rows = findings.map(({ key, refusal, warnings }) => {
    const verdict =
      refusal !== undefined ? `${out.paint('red', 'not usable')}: ${problemOf(refusal)}`
      : warnings.length > 0 ? `${out.paint('green', 'usable')}, ${out.paint('yellow', 'but')} ${warnings.join(', ')}`
      : out.paint('green', 'usable')
    return [(key.kid ?? undefined) === undefined ? '(no kid)' : show(key.kid), describe(key), verdict]
  })
  out.table(rows)
  if (!findings.some(({ secret }) => secret)) return
  out.line()
  out.line(out.paint('red', 'The set has a private or secret key: replace the key, since anyone who has read it can sign tokens.'))
}

function printJson(findings: readonly Finding[]): void {
  out.json({
    keys: findings.map(({ key: { kid, kty }, refusal, secret, warnings }) => {
      const { code, reason, message } = refusal ?? {}
      return { kid, kty, usable: refusal === undefined, private: secret, warnings, code, reason, message }
    }),
  })
}
