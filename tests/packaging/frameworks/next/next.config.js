import { fileURLToPath } from 'node:url'

export default {
  output: 'standalone',
  // The packages are installed five folders up, as in a monorepo.
  turbopack: { root: fileURLToPath(new URL('../../../../..', import.meta.url)) },
}
