import { copy } from './clipboard.js'
import { byId, el } from './dom.js'
import { createCountdown } from './countdown.js'
import { measure } from './measure.js'
import { guarded } from './notice.js'
import { TAMPERINGS } from './tamper.js'
import { showToken } from './token-view.js'
import { showTiming, showVerdict } from './verdict-view.js'

/**
 * Makes the part of the page that shows a token and its verdict, and forges the token.
 *
 * @param {import('countersign').Verifier} verifier
 * @param {() => number} now returns the time in UNIX seconds
 * @param {string} origin says where unchanged tokens are from
 * @returns {{ show(token: string, times: { issuedAt: number, expiresAt: number }): void, judgeAgain(): void, clear(): void }}
 */
export function createForge(verifier, now, origin) {
  const countdown = createCountdown(byId('countdown'), now)
  /** The token as it was issued, and the one on the page: that token or a forgery of it. */
  let own
  let shown
  let timing = new AbortController()

  function show(token, times) {
    own = token
    present(token)
    countdown.start(times, judgeAgain)
  }

  function clear() {
    countdown.stop()
    timing.abort()
    own = shown = undefined
  }

  function judgeAgain() {
    if (shown !== undefined) judge(shown)
  }

  /** Shows the token, or a forgery with its `TAMPERINGS` entry. */
  function present(token, tampering) {
    shown = token
    showToken({ encoded: byId('encoded'), decoded: byId('decoded') }, token, own)
    byId('forged').textContent = tampering?.done ?? `This is the unchanged token ${origin}.`
    byId('restore').disabled = tampering === undefined
    for (const button of byId('tamper').querySelectorAll('button')) {
      button.setAttribute('aria-pressed', String(button.id === tampering?.id))
    }
    judge(token)
  }

  function judge(token) {
    showVerdict({ verdict: byId('verdict'), stages: byId('stages'), echo: byId('echo') }, refusalOf(token))
    void time(token)
  }

  function refusalOf(token) {
    try {
      verifier.verifySync(token)
      return undefined
    } catch (error) {
      return error
    }
  }

  async function time(token) {
    timing.abort()
    timing = new AbortController()
    const { signal } = timing
    showTiming(byId('timing'), null)
    const measured = await measure(() => verifier.verifySync(token), signal)
    if (!signal.aborted) showTiming(byId('timing'), measured)
  }

  async function tamper(tampering) {
    const parts = await tampering.apply(own.split('.'), verifier.keys())
    present(parts.join('.'), tampering)
  }

  byId('tamper').append(...tamperButtons((tampering) => guarded(() => tamper(tampering))))
  byId('restore').addEventListener('click', () => {
    const pressed = byId('tamper').querySelector('[aria-pressed=true]')
    present(own)
    // The restore button is now disabled, which would lose the focus.
    pressed.focus()
  })
  byId('copy').addEventListener('click', () => guarded(() => copy(shown, 'Copied the token.')))
  return { show, judgeAgain, clear }
}

function tamperButtons(onPress) {
  return ['payload', 'signature', 'header'].map((part) =>
    el(
      `div.tamper-group.${part}`,
      { role: 'group', 'aria-label': `Change the ${part}` },
      el('span.part-name', { 'aria-hidden': 'true' }, part),
      ...TAMPERINGS.filter((tampering) => tampering.part === part).map((tampering) => {
        const button = el('button', { type: 'button', id: tampering.id, 'aria-pressed': 'false' }, tampering.label)
        button.addEventListener('click', () => onPress(tampering))
        return button
      }),
    ),
  )
}
