// The scenarios of docs/scale.md. Results count for one verifier or one point of presence, so that a small fleet tells of a large one.
import { simulate } from './fleet.js'

/** A part of the fleet of the document: verifiers do not affect one another, nor do points of presence. */
export const DEFAULTS = { points: 30, isolates: 20, rate: 2, seed: 1 }

const HOUR = 3600

/** A fleet that has started long ago has no common rhythm. Its start takes as long as a key set lives. */
const APART = { arrival: 300 }

/** By then, such a fleet has settled. */
const SETTLED = 900

/** In the half minute after an event, requests are its direct effect. Later ones are its echo. */
const AT_ONCE = 30

/**
 * @typedef {object} Row
 * @property {number} fetches of one verifier in an hour
 * @property {number} origin requests to the issuer in an hour, for each point of presence
 * @property {number} [first] after an event: the most fetches in one second of the next 30 s, as a part of the verifiers
 * @property {number} [later] the same, after these 30 s
 * @property {number} waited the part of the calls that waited for a fetch
 */

/** @type {Record<string, (setting: import('./fleet.js').Setting) => Promise<Row>>} */
export const SCENARIOS = {
  'key set: nothing happens': (setting) => observe({ ...setting, ...APART }, quiet),
  'key set: nothing happens, a cache at each point': (setting) => observe({ ...setting, ...APART, cdn: true }, quiet),
  'key set: all verifiers start at once': (setting) => observe(setting, start),
  'key set: all verifiers start at once, without jitter': (setting) => observe({ ...setting, jitter: false }, start),
  'key set: a planned change': (setting) => observe({ ...setting, ...APART, maxAge: untilChange }, change),
  'key set: a planned change, without jitter': (setting) => observe({ ...setting, ...APART, maxAge: untilChange, jitter: false }, change),
  'key set: a purge, a cache at each point': (setting) => observe({ ...setting, ...APART, cdn: true }, purge),
  'key set: the issuer is away for 10 min': (setting) => observe({ ...setting, ...APART }, outage),
  'one status list': (setting) => observe({ ...few(setting), lists: 1 }, soon),
  '10 status lists': (setting) => observe({ ...few(setting), lists: 10 }, soon),
  '100 status lists': (setting) => observe({ ...few(setting), lists: 100 }, soon),
  'one status list, a cache at each point': (setting) => observe({ ...few(setting), lists: 1, cdn: true }, soon),
  '10 status lists, a cache at each point': (setting) => observe({ ...few(setting), lists: 10, cdn: true }, soon),
  '100 status lists, a cache at each point': (setting) => observe({ ...few(setting), lists: 100, cdn: true }, soon),
}

/** Returns the fetches of each second in the hour after a start of all verifiers at once. */
export function startOf(setting) {
  return simulate(setting, async (fleet) => {
    await fleet.runUntil(HOUR)
    return Array.from({ length: HOUR }, (_, second) => fleet.fetches[second] ?? 0)
  })
}

/** The begin and end of the observation, in seconds, and the event at its begin. The setting brings some events about. */
const quiet = { at: SETTLED, end: SETTLED + 900 }
const soon = { at: 300, end: 900 }
const start = { at: 0, end: HOUR, happens: () => {} }
const change = { at: SETTLED + 300, end: SETTLED + 300 + 1800, happens: () => {} }
const purge = { at: SETTLED, end: SETTLED + 1800, happens: ({ caches }) => caches.forEach((cache) => cache.purge()) }
const outage = { at: SETTLED, end: SETTLED + 1800, happens: away }

/** Our issuer shortens `max-age` so that no cache keeps the set beyond a change that it plans. */
function untilChange(elapsed) {
  return elapsed < change.at ? Math.max(1, Math.min(300, Math.floor(change.at - elapsed))) : 300
}

async function away(fleet) {
  fleet.origin.up = false
  await fleet.runUntil(outage.at + 600)
  fleet.origin.up = true
}

/** Lists live for a minute and are many, so that a tenth of the fleet shows the same, sooner. */
function few(setting) {
  return { ...setting, points: Math.ceil(setting.points / 10), arrival: 60 }
}

async function observe(setting, { at, end, happens }) {
  return simulate(setting, async (fleet) => {
    await fleet.runUntil(at)
    const before = { verified: fleet.verified, waited: fleet.waited }
    await happens?.(fleet)
    await fleet.runUntil(end)
    if (fleet.refused > 0) throw new Error(`${fleet.refused} good tokens were refused`)
    const verifiers = setting.points * setting.isolates
    const perHour = (counts, parts) => (sum(counts, at, end) / parts / (end - at)) * HOUR
    return {
      fetches: perHour(fleet.fetches, verifiers),
      origin: perHour(fleet.origin.requests, setting.points),
      ...(happens && {
        first: peak(fleet.fetches, at, at + AT_ONCE) / verifiers,
        later: peak(fleet.fetches, at + AT_ONCE, end) / verifiers,
      }),
      waited: (fleet.waited - before.waited) / (fleet.verified - before.verified),
    }
  })
}

function sum(counts, from, to) {
  return secondsOf(counts, from, to).reduce((total, count) => total + count, 0)
}

function peak(counts, from, to) {
  return Math.max(...secondsOf(counts, from, to))
}

function secondsOf(counts, from, to) {
  return Array.from({ length: to - from }, (_, at) => counts[from + at] ?? 0)
}
