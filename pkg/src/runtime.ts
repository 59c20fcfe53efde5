/** Returns true in Cloudflare Workers. */
export function inWorkers(): boolean {
  return userAgent() === 'Cloudflare-Workers'
}

/** Returns true in browsers. Elsewhere, no user agent begins like this. */
export function inBrowser(): boolean {
  return userAgent().startsWith('Mozilla/')
}

function userAgent(): string {
  return globalThis.navigator?.userAgent ?? ''
}
