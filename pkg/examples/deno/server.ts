// Notes, kept in memory. A valid token may read them, and one with the scope "write" may add to them.
import { createVerifier } from 'countersign'
import { guard } from 'countersign/guard'

const issuer = Deno.env.get('ISSUER') ?? ''
const audience = Deno.env.get('AUDIENCE') ?? ''

const verifier = await createVerifier({ issuer, audience, jwks: `${issuer}/.well-known/jwks.json` })
const notes: { by: string | undefined; text: string }[] = []

async function answer(request: Request): Promise<Response> {
  if (new URL(request.url).pathname !== '/notes') return new Response(null, { status: 404 })
  const adds = request.method === 'POST'
  const { claims, response } = await guard(request, verifier, adds ? { scope: 'write' } : {})
  if (response) return response
  if (adds) notes.push({ by: claims.sub, text: await request.text() })
  return Response.json({ notes }, { status: adds ? 201 : 200 })
}

Deno.serve({ port: Number(Deno.env.get('PORT') ?? 3000), onListen: ({ port }) => console.log(`listening on http://localhost:${port}`) }, answer)
