// The issuer's rules for its keys, for the example on the page Keys: issuer/src/keys/rules.rs, keys/forecast.rs and
// config/intervals.rs. A test compares them with `countersign-issuer keys plan --json`. All times are seconds.

/** The time in which another issuer on the same database notices a change. */
export const NOTICE_WITHIN = 30

/** The largest number of keys in a key set. */
const MOST_KEYS = 64

/** The issuer's defaults. */
export const DEFAULTS = { rotation_period: 30 * 86_400, access_ttl: 15 * 60, jwks_max_age: 5 * 60, clock_skew: 60 }

/**
 * @typedef {object} Settings the settings of an issuer that the life of its keys follows from
 * @property {number} rotation_period how long one key signs
 * @property {number} access_ttl the lifetime of an access token
 * @property {number} jwks_max_age how long caches may hold the key set
 * @property {number} clock_skew how far the clocks of issuers and verifiers may differ
 */

/**
 * @typedef {object} Life the times of one key, in the shape of `keys plan --json`; null is not planned yet
 * @property {string | null} kid null for a key to come
 * @property {number} created_at
 * @property {number | null} activates_at
 * @property {number | null} retires_at
 * @property {number | null} drops_at
 */

/**
 * Plans the keys of an issuer that first started at `start`: all that it had until now, and those of the next rotations.
 *
 * @param {Settings} settings
 * @param {{ start: number, now: number, rotations: number }} times
 * @returns {Settings & { now: number, keys: Life[], publish_lead: number, drop_lag: number }}
 */
export function planKeys(settings, { start, now, rotations }) {
  const rules = { lead: publishLead(settings), period: settings.rotation_period, lag: dropLag(settings) }
  const lives = []
  let keys = []
  let at = start
  let ahead = 0
  for (;;) {
    keys = step(rules, keys, at, lives)
    const next = switchesAt(rules, keys)
    if (next > now) ahead += 1
    if (ahead > rotations) break
    at = next
  }
  const known = lives.map((life, i) => ({ ...life, kid: life.created_at <= now ? `key-${i + 1}` : null }))
  return { ...settings, now, keys: known, publish_lead: rules.lead, drop_lag: rules.lag }
}

/** Returns how long a key is in the key set before it may sign, at least. */
export function publishLead({ jwks_max_age: age, clock_skew: skew }) {
  return NOTICE_WITHIN + age + skew
}

/** Returns how long a key stays in the key set after it was retired. */
export function dropLag({ access_ttl: ttl, jwks_max_age: age, clock_skew: skew }) {
  return NOTICE_WITHIN + ttl + age + skew
}

/** Returns why the issuer would not start with these settings, or undefined. */
export function refusalOf(settings) {
  const { rotation_period: period, access_ttl: ttl, jwks_max_age: age, clock_skew: skew } = settings
  const lead = publishLead(settings)
  if (period < lead) {
    return (
      `rotation_period is ${period} s, shorter than jwks_max_age (${age} s) + clock_skew (${skew} s) + ${NOTICE_WITHIN} s for other ` +
      `issuers to notice = ${lead} s; a key would sign before caches can have it; make rotation_period longer`
    )
  }
  const retiring = Math.floor(dropLag(settings) / period) + 1
  // Besides the retiring keys, the set has the active one and the next one.
  if (retiring + 2 > MOST_KEYS) {
    return (
      `rotation_period is ${period} s, and a key is kept for access_ttl (${ttl} s) + jwks_max_age (${age} s) + clock_skew (${skew} s) ` +
      `+ ${NOTICE_WITHIN} s after it has signed; with ${retiring} retiring keys the JWKS would have more than ${MOST_KEYS} keys; make ` +
      'rotation_period longer'
    )
  }
  return undefined
}

/** Returns the state of a key at a time: `to come`, `published`, `active`, `retiring` or `gone`. */
export function stateAt({ created_at: created, activates_at: activates, retires_at: retires, drops_at: drops }, now) {
  const reached = (at) => at !== null && at <= now
  if (reached(drops)) return 'gone'
  if (reached(retires)) return 'retiring'
  if (reached(activates)) return 'active'
  return created <= now ? 'published' : 'to come'
}

/** Returns the keys as they have to be at this time. Adds the lives of new keys to the list. */
function step(rules, before, now, lives) {
  const make = () => {
    const life = { kid: null, created_at: now, activates_at: null, retires_at: null, drops_at: null }
    lives.push(life)
    return life
  }
  let keys = before.filter(({ drops_at: drops }) => drops === null || drops > now)
  if (keys.length === 0) {
    // In a new database no cache can hold an older key set.
    return [Object.assign(make(), { activates_at: now }), make()]
  }
  if (switchesAt(rules, keys) <= now) {
    Object.assign(active(keys), { retires_at: now, drops_at: now + rules.lag })
    Object.assign(published(keys), { activates_at: now })
    keys = [...keys, make()]
  }
  return keys
}

/** Returns the time when the published key takes over from the active one. */
function switchesAt({ period, lead }, keys) {
  return Math.max(active(keys).activates_at + period, published(keys).created_at + lead)
}

const active = (keys) => keys.find((key) => key.activates_at !== null && key.retires_at === null)
const published = (keys) => keys.find((key) => key.activates_at === null)
