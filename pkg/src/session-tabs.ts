import type { Browser, Channel } from './session-browser.js'
import { ChannelLock, WebLock, type LockMessage, type SessionLock } from './session-lock.js'
import type { SessionErrorCode } from './session-error.js'

/** The tokens in a message. The other tab has its own steady clock, so times are those of the system's. */
export interface SharedTokens {
  accessToken: string
  refreshToken: string | undefined
  scope: string
  lifetime: number
  /** The milliseconds that the tokens were used up when the message was sent. */
  age: number
  /** The system's time and the issuer's at that moment. */
  wall: number
  issuerTime: number | undefined
}

/**
 * A message to the other tabs. `turn` numbers the logins, refreshes and ends of the session in all tabs, so that an older
 * message replaces nothing newer: one more than the largest known number, or the system's time if that is larger.
 */
export type Message =
  /** A tab that knows nothing asks for the tokens. */
  | { kind: 'ask'; turn: number }
  /** A refresh begins: if its tab is closed, another one asks the issuer again. */
  | { kind: 'started' }
  /** `login`: the turn of the login of these tokens. */
  | { kind: 'tokens'; turn: number; login: number; tokens: SharedTokens }
  | { kind: 'failed'; code: SessionErrorCode; message: string; retryIn: number }
  | { kind: 'over'; turn: number; code: SessionErrorCode; message: string }

const LOCK_KINDS = ['claim', 'held', 'released', 'waiting']

/** After a refresh, other tabs wait for this time before the next one, so that its result reaches them before. */
export const SHARING_MS = 1000

/** The tabs of this origin with a session of the same issuer. */
export class SessionTabs {
  readonly #name: string
  readonly #browser: Browser
  readonly #receive: (message: Message) => void
  readonly #lock: SessionLock
  #channel: Channel | undefined

  /** `limit`: the milliseconds after which a tab that refreshes is taken for suspended. */
  constructor(name: string, limit: number, browser: Browser, receive: (message: Message) => void) {
    this.#name = name
    this.#browser = browser
    this.#receive = receive
    const channelLock = new ChannelLock((message) => this.#send(message), browser)
    this.#lock = browser.locks === undefined ? channelLock : new WebLock(browser.locks, name, limit, browser, channelLock)
  }

  open(): void {
    if (this.#channel !== undefined) return
    this.#channel = this.#browser.openChannel(this.#name)
    if (this.#channel === undefined) return
    this.#channel.onmessage = ({ data }: MessageEvent<Message | LockMessage>) => {
      if (LOCK_KINDS.includes(data.kind)) this.#lock.receive(data as LockMessage)
      else this.#receive(data as Message)
    }
  }

  /** An open channel could keep a page out of the browser's back/forward cache. */
  close(): void {
    this.#channel?.close()
    this.#channel = undefined
  }

  post(message: Message): void {
    this.#send(message)
  }

  /** See {@link SessionLock.run}. */
  exclusively(work: () => Promise<number>, signal: AbortSignal): Promise<void> {
    return this.#lock.run(work, signal)
  }

  /** Ends the pauses of the other tabs: a login or a logout waits, and a timer of a hidden tab may take long. */
  endPauses(): void {
    this.#send({ kind: 'waiting' })
  }

  #send(message: Message | LockMessage): void {
    this.#channel?.postMessage(message)
  }
}
