/** What was asked to be left out (`COUNTERSIGN_SKIP=webkit,firefox`), which `cargo xtask test` prints. */
const SKIPPED = (process.env.COUNTERSIGN_SKIP ?? '').split(',').map((name) => name.trim())

/**
 * @param {string[]} needs what a test needs besides the npm packages: names of browsers
 * @returns {string | false} as node:test takes it
 */
export function isSkipped(needs) {
  const skipped = needs.filter((name) => SKIPPED.includes(name))
  if (skipped.length > 0) return `left out by COUNTERSIGN_SKIP=${skipped}`
  return needs.includes('webkit') && process.platform !== 'linux' && 'WebKitGTK is on Linux alone'
}
