// Verifies the pasted token in this page and counts down to its expiry. The only request is the one for the keys.
import { createVerifier, expiry } from 'countersign'

const { VITE_ISSUER: issuer, VITE_AUDIENCE: audience } = import.meta.env
const verifier = await createVerifier({ issuer, audience, jwks: `${issuer}/.well-known/jwks.json` })

const [input, verdict, time] = ['token', 'verdict', 'time'].map((id) => document.getElementById(id))
let countdown

input.addEventListener('input', async () => {
  clearInterval(countdown)
  time.value = ''
  const token = input.value.trim()
  try {
    const { payload } = await verifier.verify(token)
    if (token !== input.value.trim()) return
    verdict.value = `It is ${payload.sub}'s.`
    showTime(token)
    countdown = setInterval(showTime, 1000, token)
  } catch (error) {
    verdict.value = `${error.code}: ${error.message}`
  }
})

function showTime(token) {
  const { secondsLeft, expired } = expiry(token)
  time.value = expired ? 'It has expired.' : `It expires in ${Math.ceil(secondsLeft)} s.`
}
