// Verifies the token in the page's fragment, with the options there, and shows the verdict.
import { createVerifier } from 'countersign'

const { token, options } = JSON.parse(decodeURIComponent(location.hash.slice(1)))
const output = document.querySelector('output')
try {
  const verifier = await createVerifier(options)
  const { payload } = await verifier.verify(token)
  output.value = `ok ${payload.sub}`
} catch (error) {
  output.value = `${error.name} ${error.code ?? error.message}`
}
