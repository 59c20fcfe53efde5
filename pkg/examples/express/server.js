// Notes, kept in memory. A valid token may read them, and one with the scope "write" may add to them.
import { createVerifier } from 'countersign'
import { guard } from 'countersign/express'
import { statusList } from 'countersign/status'
import express from 'express'

const { ISSUER, AUDIENCE, PORT = 3000 } = process.env

const jwks = `${ISSUER}/.well-known/jwks.json`
// If the issuer has status lists, the tokens of a session that was ended are refused after a minute.
const verifier = await createVerifier({ issuer: ISSUER, audience: AUDIENCE, jwks, status: statusList() })
const notes = []

const app = express()
app.use('/notes', guard(verifier))
app.get('/notes', (req, res) => res.json({ notes }))
app.post('/notes', guard(verifier, { scope: 'write' }), express.text(), (req, res) => {
  notes.push({ by: req.auth.claims.sub, text: req.body })
  res.status(201).json({ notes })
})

const server = app.listen(PORT, () => console.log(`listening on http://localhost:${server.address().port}`))
