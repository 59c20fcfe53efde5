import { createSmallIssuer } from './small-issuer.js'
import { serve } from './small-issuer-port.js'
import { SMALL_ISSUER } from './small-issuer-settings.js'

const issuer = createSmallIssuer(SMALL_ISSUER)

self.onconnect = ({ ports: [port] }) => serve(port, issuer)
