// Compiled, never run: the guard in Fastify and in node:http.
import { createServer, type IncomingMessage } from 'node:http'
import type { Verifier } from 'countersign'
import { guard, type Authenticated, type GuardedResponse } from 'countersign/express'
import Fastify, { type FastifyReply, type FastifyRequest, type HookHandlerDoneFunction } from 'fastify'

interface MyClaims {
  tenant: string
}

declare const verifier: Verifier

function protect(scope: string) {
  const check = guard(verifier, { scope })
  return (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction) => {
    const response: GuardedResponse = {
      set statusCode(code: number) { reply.code(code) },
      setHeader: (name, value) => reply.header(name, value),
      end: (body) => reply.send(body),
    }
    check(request.raw, response, done)
  }
}

const app = Fastify()
app.get('/me', { onRequest: protect('read') }, async ({ raw }) => {
  const { claims } = (raw as Authenticated<typeof raw, MyClaims>).auth
  return { you: claims.sub, of: claims.tenant }
})

const check = guard(verifier)
createServer((request, response) => {
  check(request, response, (error) => {
    if (error) return response.writeHead(500).end()
    return response.end((request as Authenticated<IncomingMessage>).auth.claims.sub)
  })
})
