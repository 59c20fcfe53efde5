import { createVerifier, VerifyError } from 'countersign'
import { readClaims } from 'countersign/cli/claim-values'
import { examineAll, parseKeySet } from 'countersign/cli/findings'
import { problemOfKeySet } from 'countersign/cli/key-set-text'
import { guess, readLeniently } from 'countersign/cli/reading'
import { fetchDocument } from 'countersign/fetch-document'
import { DEFAULTS } from 'countersign/options'
import { createTestIssuer } from 'countersign/testing'
import { isFetchable } from 'countersign/urls'
import { problemOfUrl } from 'countersign/words'
import { copy } from './clipboard.js'
import { byId } from './dom.js'
import { EMPTY, fragmentOf, stateOf } from './inspect-link.js'
import { codeOf, fieldsFor, FIELDS, isFromToken, optionsOf } from './inspect-options.js'
import { showFindings, showMetadata, showNoVerdict, showParts } from './inspect-view.js'
import { guarded, say } from './notice.js'
import { sentence, showVerdict } from './verdict-view.js'

const SETTLE_MS = 200
const TICK_MS = 1000

/** Characters; four times the largest token that an HTTP server takes by default. */
const MAX_SHOWN = 65_536 * 4

const MAX_KEYS_SHOWN = 100

/** The key set in the text field: its text, and the set with the findings on its keys, or its problem. */
let keySet = { text: '', set: undefined, findings: [], problem: undefined }
/** The code and claim of the verdict on the page: only another one is announced. */
let shownVerdict
/** Show the verdict and the distances in time as of now. */
let judge = () => {}
let tick = () => {}
let updates = 0
let timer

const places = { verdict: byId('verdict'), stages: byId('stages'), echo: byId('echo') }

/** Reads everything on the page, and shows the results. */
async function update() {
  const update = (updates += 1)
  const { token, problem } = readToken()
  const reading = token === '' ? undefined : readLeniently(token)
  if (byId('follow').checked && reading !== undefined) fillIn(fieldsFor(reading.header.members, reading.payload?.members ?? {}))
  const read = await readKeys(byId('keys').value.trim())
  // Meanwhile something else was typed.
  if (update !== updates) return
  keySet = read
  byId('content').dataset.token = token === '' && problem === undefined ? 'none' : 'some'
  const options = readOptions()
  const now = options?.now ?? (() => Date.now() / 1000)
  tick = showParts({ faults: byId('faults'), encoded: byId('encoded'), decoded: byId('decoded') }, { token, reading, problem, guess: guess(token) }, now)
  byId('keys-problem').textContent = keySet.problem ?? ''
  byId('keys').setAttribute('aria-invalid', String(keySet.problem !== undefined))
  showFindings(byId('findings'), keySet.findings, MAX_KEYS_SHOWN, reading?.header.members.kid)
  showMetadata(byId('metadata'), reading?.payload?.members.iss, (url) => {
    byId('jwks').value = url
    byId('fetch').focus()
  })
  byId('javascript').textContent = options === undefined ? '' : codeOf(options, byId('jwks').value.trim())
  const judgeThis = await judgeWith(token, options)
  if (update !== updates) return
  judge = judgeThis
  judge()
}

/** Makes the verifier, and returns a function that shows its verdict. */
async function judgeWith(token, options) {
  if (token === '') return () => noVerdict('no token', 'There is no token that can be read.')
  const { verifier, problem } = await makeVerifier(options)
  if (problem !== undefined) {
    // The form of a token does not depend on the options.
    const { verifier: reader } = await makeVerifier(ANY)
    const refusal = refusalOf(reader, token)
    return () => (refusal?.stage === 'parse' ? verdict(refusal) : noVerdict(problem, problem))
  }
  return () => {
    const refusal = refusalOf(verifier, token)
    if (keySet.set === undefined && refusal?.stage === 'key') {
      noVerdict('no keys', 'The issuer’s keys are missing. Without them nothing is verified, and anybody can have written this token.')
    } else verdict(refusal)
  }
}

/** Options for which only the form of a token matters here. */
const ANY = { issuer: '-', audience: '-' }

/** Makes a verifier with the keys on the page, or says why its options are wrong, beside the field too. */
async function makeVerifier(options) {
  if (options === undefined) return { problem: 'An option is wrong: see below' }
  try {
    return { verifier: await createVerifier({ ...options, jwks: keySet.set ?? { keys: [] } }) }
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error
    markOption(error.reason, error.message)
    return { problem: `An option is wrong: ${error.message}` }
  }
}

/** Shows a verdict, unless it is on the page already. */
function verdict(refusal) {
  const kind = `${refusal?.code} ${refusal?.claim}`
  if (shownVerdict === kind) return
  shownVerdict = kind
  showVerdict(places, refusal)
}

function noVerdict(kind, why) {
  if (shownVerdict === kind) return
  shownVerdict = kind
  showNoVerdict(places, why)
}

function refusalOf(verifier, token) {
  try {
    verifier.verifySync(token)
    return undefined
  } catch (error) {
    return error
  }
}

/** Returns the token without the white space and the scheme around it. */
function readToken() {
  const token = byId('token').value.trim().replace(/^(?:authorization:\s*)?bearer\s+/i, '')
  if (token.length <= MAX_SHOWN) return { token, problem: undefined }
  return { token: '', problem: `The text has ${token.length.toLocaleString()} characters, more than any token: this page reads up to ${MAX_SHOWN.toLocaleString()}.` }
}

async function readKeys(text) {
  if (text === keySet.text) return keySet
  const nothing = { text, set: undefined, findings: [] }
  if (text === '') return { ...nothing, problem: undefined }
  const problem = problemOfKeySet(text)
  if (problem !== undefined) return { ...nothing, problem: `This text ${problem}.` }
  try {
    const set = await parseKeySet(text, createVerifier)
    return { text, set, findings: await examineAll(set, createVerifier), problem: undefined }
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error
    return { ...nothing, problem: error.message }
  }
}

/** Returns the options in the form; `undefined` if one of them cannot be read. */
function readOptions() {
  for (const name of FIELDS) if (byId(`problem-${name}`) !== null) markOption(name, '')
  try {
    return optionsOf(readFields(), readClaims)
  } catch ({ message }) {
    markOption(/^the time/.test(message) ? 'time' : 'claims', message)
    return undefined
  }
}

/** Shows the problem of an option beside its field. The fields for `null` have none of their own. */
function markOption(name, problem) {
  const field = byId(`option-${name}`)
  if (field === null) return
  field.setAttribute('aria-invalid', String(problem !== ''))
  byId(`problem-${name}`).textContent = problem
}

function readFields() {
  return Object.fromEntries(FIELDS.map((name) => {
    const field = byId(`option-${name}`)
    return [name, field.type === 'checkbox' ? field.checked : field.value]
  }))
}

function fillIn(fields) {
  for (const [name, value] of Object.entries(fields)) {
    const field = byId(`option-${name}`)
    if (field.type === 'checkbox') field.checked = value
    else if (field.value !== value) field.value = value
  }
  for (const name of FIELDS) fitHeight(byId(`option-${name}`))
}

/** Shows all lines of a text field with several values. */
function fitHeight(field) {
  if (field.localName === 'textarea') field.rows = Math.min(field.value.split('\n').length, 6)
}

/** Fetches the key set. A document that names the URL of one, such as the issuer's metadata, fills in that URL. */
async function fetchKeys() {
  const url = byId('jwks').value.trim()
  if (!isFetchable(url, false)) throw new Error(`The URL of the key set ${problemOfUrl(url)}.`)
  const withoutCookies = (address, init) => fetch(address, { ...init, credentials: 'omit' })
  const { text } = await fetchDocument('key set', new URL(url), { ...DEFAULTS.remote, fetch: withoutCookies }, undefined).catch(({ message }) => {
    throw new Error(`${sentence(message)} Or open the address in another tab, and paste the key set.`)
  })
  const named = JSON.parse(text)?.jwks_uri
  if (typeof named === 'string') {
    byId('jwks').value = named
    return say('That is the issuer’s metadata. It names the URL of the key set, which is now in the field: press Fetch once more.')
  }
  byId('keys').value = text
  await update()
  say('Fetched the key set.')
}

async function showExample() {
  const issuer = await createTestIssuer({ issuer: 'https://auth.example', audience: 'https://api.example' })
  const now = Math.floor(Date.now() / 1000)
  const claims = { sub: 'alice', client_id: 'web', scope: 'read write', jti: crypto.randomUUID(), auth_time: now - 60, amr: ['pwd', 'otp'] }
  show({ ...EMPTY, token: await issuer.sign(claims), keys: JSON.stringify(issuer.options.jwks, undefined, 2) })
  await update()
  say('A token that this page has just signed with a key of its own. Change anything.')
}

/** Fills in the page from a link, or empties it. */
function show({ token, keys, jwks, follow, fields }) {
  byId('token').value = token
  byId('keys').value = keys
  byId('jwks').value = jwks
  byId('follow').checked = follow
  fillIn(fields)
}

async function copyLink() {
  const [keys, jwks] = ['keys', 'jwks'].map((id) => byId(id).value.trim())
  const fragment = fragmentOf({ token: readToken().token, keys, jwks, follow: byId('follow').checked, fields: readFields() })
  await copy(new URL(fragment, location).href, 'Copied a link with all of this behind its #, which browsers send to no server. Whoever has the link has the token.')
}

/** Shows the content of a link, and takes it out of the address, so that no token stays in the history. */
function followLink() {
  const state = stateOf(location.hash)
  if (state === undefined) return
  history.replaceState(null, '', location.pathname)
  show(state)
  void update()
}

function updateSoon() {
  clearTimeout(timer)
  timer = setTimeout(update, SETTLE_MS)
}

for (const id of ['token', 'keys', 'jwks']) byId(id).addEventListener('input', updateSoon)
byId('follow').addEventListener('change', updateSoon)
byId('options').addEventListener('input', ({ target }) => {
  if (isFromToken(target.id.replace('option-', ''))) byId('follow').checked = false
  fitHeight(target)
  updateSoon()
})
byId('options').addEventListener('submit', (event) => event.preventDefault())
byId('fetch').addEventListener('click', () => guarded(fetchKeys, byId('fetch')))
byId('example').addEventListener('click', () => guarded(showExample, byId('example')))
byId('link').addEventListener('click', () => guarded(copyLink))
byId('copy-javascript').addEventListener('click', () => guarded(() => copy(byId('javascript').textContent, 'Copied the code.')))
byId('clear').addEventListener('click', () => guarded(() => {
  show(EMPTY)
  byId('token').focus()
  return update()
}))
addEventListener('hashchange', followLink)
setInterval(() => {
  tick()
  judge()
}, TICK_MS)

// Loads all scripts of the verifier: later the page may be offline.
await createVerifier({ ...ANY, jwks: { keys: [] } })
followLink()
await update()
