import { demoIssuer } from './demo-issuer.js'
import { say } from './notice.js'
import { startAlone } from './try-alone.js'
import { startWithIssuer } from './try-with-issuer.js'

const demo = await demoIssuer().catch(() => undefined)
if (demo === undefined) say('The demo’s server did not answer. Is it running? Start it with “cargo xtask start”, then load the page again.', 'error')
else await (demo === null ? startAlone() : startWithIssuer(demo)).catch((error) => say(`The page could not start: ${error.message}`, 'error'))
