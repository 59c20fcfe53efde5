/** The small issuer of the page Sessions. Its URL is a name alone: no request leaves the page. */
export const SMALL_ISSUER = {
  issuer: 'https://issuer.example',
  audience: 'api',
  user: { username: 'demo', password: 'demo' },
  // So short that a refresh can be watched.
  accessTtl: 60,
}
