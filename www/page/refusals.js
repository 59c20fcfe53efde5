import { createTestIssuer } from 'countersign/testing'
import { byId, el } from './dom.js'
import { say } from './notice.js'
import { CASES, refusalOf } from './refusal-cases.js'

/** The words for the stages that have refused. */
const STAGES = {
  options: 'The options',
  parse: 'The form of the token',
  header: 'The header',
  key: 'The key',
  signature: 'The signature',
  claims: 'The claims',
  status: 'The status',
}

const RFC = 'https://www.rfc-editor.org/rfc/rfc'
const STATUS_DRAFT = 'https://datatracker.ietf.org/doc/draft-ietf-oauth-status-list/'

await start().catch((error) => say(`The page could not start: ${error.message}`, 'error'))

async function start() {
  const issuer = await createTestIssuer({ issuer: 'https://this-page.example' })
  const refusals = await Promise.all(CASES.map(async (example) => ({ ...example, error: await refusalOf(example, issuer) })))
  for (const [stage, title] of Object.entries(STAGES)) {
    const ofStage = refusals.filter(({ error }) => error?.stage === stage)
    byId('stages').append(el('li', {}, el('a', { href: `#${stage}` }, title, ' ', el('span', {}, String(ofStage.length)))))
    byId('cases').append(el('section', { id: stage, 'aria-labelledby': `title-${stage}` }, el('h2', { id: `title-${stage}` }, title), ...ofStage.map(card)))
  }
  // The browser looked for the case of the address before it was there.
  if (location.hash !== '') location.replace(location.hash)
}

function card({ code, done, change, why, rfc, section, error }) {
  return el(
    'article.card.refusal',
    { id: code, 'aria-labelledby': `title-${code}` },
    el(
      'div',
      {},
      el('h3', { id: `title-${code}` }, el('code', {}, code)),
      el('p.done', {}, done),
      el('code.change', { translate: 'no' }, change),
    ),
    el(
      'div',
      {},
      el('p.said', {}, el('span.said-by', {}, 'The verifier says'), el('span.message', {}, error.message)),
      el('p.why', {}, why),
      el('p.more', {}, ...definition(rfc, section, error.stage), el('a', { href: `docs/errors.html#${code}` }, 'Causes and fix')),
    ),
  )
}

/** Returns a link to the rule, if a document defines it. */
function definition(rfc, section, stage) {
  if (rfc !== undefined) return [el('a', { href: `${RFC}${rfc}#section-${section}` }, `RFC ${rfc} §${section}`), ' · ']
  return stage === 'status' ? [el('a', { href: STATUS_DRAFT }, 'Token Status List'), ' · '] : []
}
