import { byId, el } from './dom.js'
import { DEFAULTS, dropLag, planKeys, refusalOf, stateAt } from './key-rules.js'
import { inWords, settingOf } from './spans.js'

const MINUTE = 60
const HOUR = 3600
const DAY = 86_400

/** The values that each slider chooses from, within the limits of the issuer. */
const SLIDERS = {
  rotation_period: {
    label: 'How long one key signs',
    values: [MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 90 * DAY, 180 * DAY, 366 * DAY],
  },
  access_ttl: {
    label: 'Lifetime of an access token',
    values: [1, 10, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, DAY],
  },
  jwks_max_age: {
    label: 'How long caches may hold the key set',
    values: [1, 10, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, DAY],
  },
  clock_skew: { label: 'How far clocks may differ', values: [0, 1, 5, 10, 30, MINUTE, 2 * MINUTE, 5 * MINUTE] },
}

/** With an hour, the lead and the lag can be seen beside the period. */
const FIRST = { ...DEFAULTS, rotation_period: HOUR }

/** The steps of the slider for the present, in one period. */
const STEPS = 100

/** The rotations that are planned, as by the issuer's command. */
const ROTATIONS = 3


/**
 * Runs the example: sliders for the settings, and for the present within one period.
 *
 * @param {{ shown: (plan: object) => void, setShown: (set: object) => void }} listeners
 */
export function createExample({ shown, setShown }) {
  const settings = { ...FIRST }
  const opened = Math.floor(Date.now() / 1000)
  const madeKeys = createKeys()
  let asked = 0

  const present = slider('present', 'The present, within one period', STEPS, STEPS * 0.35, () => update())
  const sliders = Object.entries(SLIDERS).map(([name, { label, values }]) =>
    slider(name, label, values.length - 1, values.indexOf(settings[name]), (index) => {
      settings[name] = values[index]
      update()
    }),
  )
  byId('sliders').append(...[...sliders, present].map(({ field }) => field))
  byId('defaults').addEventListener('click', () => {
    Object.assign(settings, DEFAULTS)
    for (const { name, set } of sliders) set(SLIDERS[name].values.indexOf(settings[name]))
    update()
  })

  function update() {
    const refusal = refusalOf(settings)
    for (const { name, say } of sliders) say(inWords(settings[name]))
    byId('refusal').textContent = refusal === undefined ? '' : `The issuer does not start: ${refusal}.`
    byId('toml').textContent = Object.entries(settings).map(([name, value]) => `${name} = "${settingOf(value)}"`).join('\n')
    const elapsed = Math.floor((settings.rotation_period * present.value()) / STEPS)
    present.say(`${inWords(elapsed)} after a change`)
    if (refusal !== undefined) return
    // All keys that can still be in the key set were made since.
    const periods = Math.ceil(dropLag(settings) / settings.rotation_period) + 1
    const plan = planKeys(settings, { start: opened - periods * settings.rotation_period - elapsed, now: opened, rotations: ROTATIONS })
    const keys = recent(plan)
    shown({ ...plan, keys })
    void publish(keys, opened)
  }

  /** Shows the key set with real keys, which the browser makes while the reader may move a slider on. */
  async function publish(lives, now) {
    const mine = (asked += 1)
    const published = lives.filter((life) => ['published', 'active', 'retiring'].includes(stateAt(life, now)))
    const keys = []
    for (const { kid } of published) {
      keys.push({ ...(await madeKeys(kid)), kid })
      if (mine !== asked) return
    }
    setShown({ keys, lives, now })
  }

  return { run: update }
}

/** Leaves out keys that are gone for longer than the last period, so that the line does not begin at the first start. */
function recent({ now, keys, rotation_period: period }) {
  return keys.filter(({ drops_at: drops }) => drops === null || drops > now - period * 0.9)
}

/** Returns a function that makes a public key for each name, and remembers it. */
function createKeys() {
  const made = new Map()
  const make = async () => {
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) }
    const { publicKey } = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify'])
    const { kty, n, e } = await crypto.subtle.exportKey('jwk', publicKey)
    return { kty, use: 'sig', alg: 'RS256', n, e }
  }
  return (name) => {
    if (!made.has(name)) made.set(name, make())
    return made.get(name)
  }
}

function slider(name, label, max, start, changed) {
  const input = el('input', { type: 'range', id: `slider-${name}`, min: '0', max: String(max), step: '1', value: String(start) })
  const output = el('output', { for: input.id })
  input.addEventListener('input', () => changed(Number(input.value)))
  return {
    name,
    field: el('div.slider', {}, el('label', { for: input.id }, label, ...(name === 'present' ? [] : [' ', el('code', {}, name)])), output, input),
    value: () => Number(input.value),
    set: (value) => {
      input.value = String(value)
    },
    say: (text) => {
      output.textContent = text
      input.setAttribute('aria-valuetext', text)
    },
  }
}
