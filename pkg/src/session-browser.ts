/** The parts of a browser that a session uses. Tests have others. */
export interface Browser {
  /** The milliseconds of the system's clock, which may be wrong, and may be set. */
  wallTime(): number
  /** The milliseconds of a clock that is never set, but may stop while the machine sleeps. */
  steadyTime(): number
  setTimeout(callback: () => void, milliseconds: number): unknown
  clearTimeout(timer: unknown): void
  /** Reports an exception of a listener, which nobody catches. */
  reportError(error: unknown): void
  /** A number from 0 to 1. */
  random(): number
  isOnline(): boolean
  /** Web Locks, which pages over http do not have. */
  readonly locks: LockManager | undefined
  /** WebAuthn, which pages over http do not have. */
  readonly credentials: Pick<CredentialsContainer, 'create' | 'get'> | undefined
  /** Can passkeys be suggestions of a form field (`mediation: 'conditional'`)? */
  suggestsPasskeys(): Promise<boolean>
  openChannel(name: string): Channel | undefined
  /** Returns the origin of the page. */
  origin(): string
  /** Returns the URL that relative ones start from. */
  base(): string
  /** Calls the function at each of these events of the window or the document. Returns a function that ends it. */
  listen(names: readonly string[], callback: (event: Event) => void): () => void
}

/** A `BroadcastChannel`, as far as a session uses it. */
export type Channel = Pick<BroadcastChannel, 'postMessage' | 'close' | 'onmessage'>

/** The browser of this page, or of this worker. */
export const browser: Browser = {
  wallTime: () => Date.now(),
  steadyTime: () => performance.now(),
  setTimeout: (callback, milliseconds) => setTimeout(callback, milliseconds),
  clearTimeout: (timer) => clearTimeout(timer as number),
  reportError: (error) => (globalThis.reportError ?? console.error)(error),
  random: () => Math.random(),
  isOnline: () => globalThis.navigator?.onLine !== false,
  get locks() {
    return globalThis.navigator?.locks
  },
  get credentials() {
    return typeof PublicKeyCredential === 'undefined' ? undefined : globalThis.navigator?.credentials
  },
  suggestsPasskeys: async () => typeof PublicKeyCredential !== 'undefined' && (await PublicKeyCredential.isConditionalMediationAvailable?.()) === true,
  openChannel: (name) => (typeof BroadcastChannel === 'undefined' ? undefined : new BroadcastChannel(name)),
  origin: () => globalThis.location?.origin,
  base: () => globalThis.document?.baseURI ?? globalThis.location?.href,
  listen(names, callback) {
    const targets = [globalThis, globalThis.document].filter((target) => typeof target?.addEventListener === 'function')
    const each = (act: (target: EventTarget, name: string) => void) => targets.forEach((target) => names.forEach((name) => act(target, name)))
    each((target, name) => target.addEventListener(name, callback))
    return () => each((target, name) => target.removeEventListener(name, callback))
  },
}
