// Compiled, never run: the package from a CommonJS module.
import countersign = require('countersign')
import express = require('countersign/express')
import guards = require('countersign/guard')
import inline = require('countersign/inline')
import javaScript = require('countersign/js')
import session = require('countersign/session')
import status = require('countersign/status')
import testing = require('countersign/testing')

interface MyClaims {
  tenant: string
}

const options: countersign.VerifierOptions = { issuer: 'i', audience: 'a', jwks: 'https://auth.example/jwks.json' }
const verifier: Promise<countersign.Verifier> = countersign.createVerifier(options)
const verified: countersign.Verified<MyClaims> = inline.createVerifierSync(options).verifySync<MyClaims>('token')
const tenant: string = verified.payload.tenant
const guarded: Promise<guards.Guarded<MyClaims>> = guards.guard<MyClaims>(new Request('https://api.example'), verifier)
const protect: express.Middleware = express.guard(verifier, { scope: 'read' })
const slower: countersign.Verifier = javaScript.createVerifierSync(options)
const check: status.StatusCheck = status.statusList({ maxStale: 60, accepted: [2], origins: ['https://status.example'] })
const checked: Promise<countersign.Verifier> = countersign.createVerifier({ ...options, status: check })
const page: session.Session = session.createSession({ issuer: 'https://auth.example', mode: 'memory', origins: ['https://api.example'] })
const end: () => void = page.onChange(({ status, error }: session.SessionState) => [status satisfies session.SessionStatus, error?.retryAfter])
const step: Promise<session.SecondFactor | undefined> = page.again({ password: 'secret' })
const codes: Promise<readonly string[]> = step.then(async (left) => (await left?.enrol())?.confirm('123456') ?? [])
const made: Promise<object> = session.createPasskey({}, { signal: AbortSignal.timeout(1) })
const answer: Promise<Response> = page.fetch('/me', { method: 'POST' })
const issuer: Promise<testing.TestIssuer> = testing.createTestIssuer()

void [codes, made, page.accessToken({ maxAge: 60 }), slower, checked, end, answer, issuer, tenant, guarded, protect]
