import { DocumentStore } from './document-store.js'
import { refuse, type VerifyError } from './errors.js'
import { FetchedList, type ListSettings } from './fetched-list.js'
import type { Settings } from './options.js'
import type { PolicyVerifier } from './policies.js'
import { readReference, statusAt } from './status-list.js'
import { tools } from './tools.js'
import type { JwkSet, JwtPayload, KeyStore, Verified } from './types.js'
import { isFetchable } from './urls.js'
import { program } from './verifier.js'

/** The options of `statusList` with their defaults. */
export interface StatusSettings {
  maxStale: number
  required: boolean
  accepted: ReadonlySet<number>
  origins: readonly string[]
  store: KeyStore | undefined
}

/** The most bytes of all lists together. */
const MAX_KEPT = 64 * 1024 * 1024

/** Verifies tokens by another verifier, also by its cache, and then looks at their status. */
export class StatusVerifier implements PolicyVerifier {
  readonly maxTokenBytes: number
  readonly #verifier: PolicyVerifier
  readonly #settings: StatusSettings
  readonly #listSettings: ListSettings
  readonly #origins: ReadonlySet<string>
  /** By URL. */
  readonly #lists = new Map<string, FetchedList>()
  /** The number of look-ups, and the number at the last `refresh`. */
  #uses = 0
  #refreshedAt = 0

  constructor(verifier: PolicyVerifier, settings: Settings, status: StatusSettings) {
    this.maxTokenBytes = verifier.maxTokenBytes
    this.#verifier = verifier
    this.#settings = status
    this.#listSettings = readListSettings(verifier, settings, status)
    this.#origins = new Set([...originsOf(settings), ...status.origins])
  }

  async verify<Claims extends object = {}>(token: string): Promise<Verified<Claims>> {
    const verified = await this.#verifier.verify<Claims>(token)
    const reference = this.#find(verified.payload)
    if (reference !== undefined) this.#check(verified.payload, reference, await reference.list.renew())
    return verified
  }

  verifySync<Claims extends object = {}>(token: string): Verified<Claims> {
    const verified = this.#verifier.verifySync<Claims>(token)
    const reference = this.#find(verified.payload)
    if (reference !== undefined) this.#check(verified.payload, reference)
    return verified
  }

  keys(): JwkSet {
    return this.#verifier.keys()
  }

  async refresh(): Promise<void> {
    await this.#verifier.refresh()
    const since = this.#refreshedAt
    this.#refreshedAt = this.#uses
    // Lists that no token names any more are not fetched for ever. They stay: another call may be at the same time.
    const used = [...this.#lists.values()].filter(({ usedAt }) => usedAt > since)
    await Promise.all(used.map((list) => list.refresh()))
  }

  scopeClaimFor(payload: JwtPayload): string {
    return this.#verifier.scopeClaimFor(payload)
  }

  /** Returns the list and the index that a token names, if it names any. */
  #find(payload: JwtPayload): { list: FetchedList; idx: number } | undefined {
    const reference = readReference(payload)
    if (reference === undefined) {
      if (this.#settings.required) throw refuseClaim('claim_missing', MISSING, payload)
      return undefined
    }
    if (reference === null) throw refuseClaim('claim_invalid', MALFORMED, payload)
    const { idx, uri } = reference
    const known = this.#lists.get(uri)
    const list = known ?? this.#make(uri, payload)
    list.usedAt = ++this.#uses
    if (known === undefined) {
      this.#lists.set(uri, list)
      this.#makeRoom()
    }
    return { list, idx }
  }

  #make(uri: string, payload: JwtPayload): FetchedList {
    if (!isFetchable(uri, this.#listSettings.remote.allowHttp) || !this.#origins.has(new URL(uri).origin)) {
      const expected = [...this.#origins].join(' or ')
      const problem = `the claim status names a list of another origin: expected one at ${expected}; see the option origins of statusList`
      throw refuseClaim('claim_invalid', problem, payload)
    }
    return new FetchedList(uri, this.#listSettings, () => this.#makeRoom())
  }

  /** Refuses a token that was revoked, or may have been. `fault` is the reason why there may be no list. */
  #check(payload: JwtPayload, { list: fetched, idx }: { list: FetchedList; idx: number }, fault?: unknown): void {
    const list = fetched.current()
    if (list === undefined) {
      // The URL is a part of the token. The cause has it.
      const message = fault instanceof Error ? fault.message.replace(/ from \S+(?=: )/, '') : NOT_LOADED
      throw refuseForWantOfStatus(message, payload, fault)
    }
    if (list.iss !== undefined && list.iss !== payload.iss) throw refuseForWantOfStatus(OTHER_ISSUER, payload)
    const status = statusAt(list, idx)
    if (status === undefined) throw refuseForWantOfStatus(TOO_SHORT, payload)
    if (status === 0 || this.#settings.accepted.has(status)) return
    const other = `the token has the status ${status}; expected 0, or one of the option accepted of statusList`
    throw refuse({ code: 'token_revoked', message: status === 1 ? 'the token was revoked' : other, claims: payload })
  }

  /** Drops the lists that were not used for the longest time. */
  #makeRoom(): void {
    let room = MAX_KEPT
    const lists = [...this.#lists].sort(([, a], [, b]) => b.usedAt - a.usedAt)
    for (const [uri, list] of lists) {
      room -= list.size
      if (room < 0) this.#lists.delete(uri)
    }
  }
}

const MISSING = 'the required claim status is missing, or names no status list'
const MALFORMED = 'the claim status is malformed: expected { status_list: { idx, uri } }, a whole number of 0 or more and a URL'
const NOT_LOADED = 'no status list is loaded; call verify or refresh first'
const OTHER_ISSUER = 'the status list has another iss than the token'
const TOO_SHORT = 'the status list ends before the index of the token'

function readListSettings(verifier: PolicyVerifier, settings: Settings, { maxStale, store }: StatusSettings): ListSettings {
  const policy = JSON.parse(settings.policy) as { clockTolerance?: number }
  const remote = { ...settings.remote, staleIfError: maxStale, store: undefined }
  return {
    remote: { ...remote, store: store && new DocumentStore(store, remote, tools) },
    now: settings.now,
    tolerance: policy.clockTolerance ?? 0,
    claimsOf: claimsOfLists(verifier, settings, policy),
  }
}

/**
 * Returns a function that returns the claims of a list with a good signature. A list is a JWT for another policy: its `iss`,
 * `aud` and `exp` may be missing.
 */
function claimsOfLists(verifier: PolicyVerifier, settings: Settings, policy: object): ListSettings['claimsOf'] {
  const limits = { maxTokenBytes: tools.MAX_DOCUMENT_BYTES }
  const policyForLists = JSON.stringify({ ...policy, type: 'statuslist+jwt', ...limits })
  const forLists = { ...settings, ...limits, policy: policyForLists, cache: undefined }
  let current: { keys: JwkSet; verifier: PolicyVerifier } | undefined
  const claimsOf = (text: string) => {
    const keys = verifier.keys()
    if (current?.keys !== keys) current = { keys, verifier: program.makeVerifier({ ...forLists, keys }) }
    try {
      return current.verifier.verifySync(text).payload
    } catch (error) {
      // Only a token with a good signature has claims.
      const { claims } = error as VerifyError
      if (claims === undefined) throw error
      return claims
    }
  }
  return async (text) => {
    try {
      return claimsOf(text)
    } catch (error) {
      if ((error as VerifyError).code !== 'key_not_found') throw error
      // The list may be the first document that is signed by a new key.
      await verifier.refresh()
      return claimsOf(text)
    }
  }
}

/** Returns the origins of the issuers and of the key set. */
function originsOf({ policy, keys }: Settings): string[] {
  const { issuer } = JSON.parse(policy) as { issuer: string | string[] }
  return [...[issuer].flat(), keys instanceof URL ? keys.href : ''].flatMap((text) => {
    try {
      return new URL(text).origin
    } catch {
      return []
    }
  })
}

function refuseClaim(code: 'claim_missing' | 'claim_invalid', message: string, payload: JwtPayload): VerifyError {
  return refuse({ code, message, claim: 'status', claims: payload })
}

function refuseForWantOfStatus(message: string, payload: JwtPayload, cause?: unknown): VerifyError {
  return refuse({ code: 'status_unavailable', message, claims: payload }, cause)
}
