/** The names in `COUNTERSIGN_SKIP=webkit,firefox`, which `cargo xtask test` prints. */
const SKIPPED = (process.env.COUNTERSIGN_SKIP ?? '').split(',').map((name) => name.trim())

/**
 * Returns the `skip` option of node:test for a test that needs these browsers.
 *
 * @param {string[]} needs names of browsers
 * @returns {string | false}
 */
export function isSkipped(needs) {
  const skipped = needs.filter((name) => SKIPPED.includes(name))
  if (skipped.length > 0) return `left out by COUNTERSIGN_SKIP=${skipped}`
  return needs.includes('webkit') && process.platform !== 'linux' && 'WebKitGTK is on Linux alone'
}
