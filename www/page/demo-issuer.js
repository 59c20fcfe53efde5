/**
 * Asks for the demo's issuer, which exists only where `cargo xtask start` serves the pages.
 *
 * @returns {Promise<{ issuer: string, audience: string, username: string, password: string } | null>} null on a site without one
 * @throws {Error} if the demo's server does not answer
 */
export function demoIssuer() {
  return fetchJson('demo.json')
}

/** Fetches a JSON document of the site. Throws if there is none. */
export async function fetchJson(path) {
  const response = await fetch(new URL(path, import.meta.url))
  if (!response.ok) throw new Error(`${path}: ${response.status}`)
  return response.json()
}
