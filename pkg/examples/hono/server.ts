// Notes, kept in memory. A valid token may read them, and one with the scope "write" may add to them.
import { createVerifier, type JwtPayload } from 'countersign'
import { guard } from 'countersign/guard'
import { Hono } from 'hono'
import { createMiddleware } from 'hono/factory'

const { ISSUER = '', AUDIENCE = '', PORT = '3000' } = process.env

const verifier = await createVerifier({ issuer: ISSUER, audience: AUDIENCE, jwks: `${ISSUER}/.well-known/jwks.json` })
const notes: { by: string | undefined; text: string }[] = []

const protect = (scope?: string) =>
  createMiddleware<{ Variables: { claims: JwtPayload } }>(async (c, next) => {
    const { claims, response } = await guard(c.req.raw, verifier, scope === undefined ? {} : { scope })
    if (response) return response
    c.set('claims', claims)
    await next()
  })

const app = new Hono()
app.get('/notes', protect(), (c) => c.json({ notes }))
app.post('/notes', protect('write'), async (c) => {
  notes.push({ by: c.get('claims').sub, text: await c.req.text() })
  return c.json({ notes }, 201)
})

const server = Bun.serve({ port: Number(PORT), fetch: app.fetch })
console.log(`listening on ${server.url.origin}`)
