// The verdict that an edge must give about a token, from its clock and from the documents that reached it.
import { inflateSync } from 'node:zlib'
import { decodeUnverified } from 'countersign'
import { MAX_STALE, STALE_IF_ERROR, TTL } from './edges.js'
import { POLL } from './issuers.js'

/** The time by which an event can reach this process later than it happened: milliseconds. */
const SLACK = 1500

/** An issuer has a connection to its database again this long after a fault: seconds. */
const RECOVERY = 5

/** The longest time from the answer to a logout to the last acceptance, if the lists arrive: seconds. */
export const REVOCATION_BOUND = TTL + POLL

export class Judge {
  #ledger
  #proxy

  constructor(ledger, proxy) {
    this.#ledger = ledger
    this.#proxy = proxy
  }

  /**
   * Judges an answer about a token.
   *
   * @param {object} edge
   * @param {{ iat: number, exp: number, idx: number, kid: string, isForged: boolean, session: object }} token
   * @param {{ sentAt: number, answeredAt: number, clocks: number[], status: number, code: string }} answer
   */
  judge(edge, token, answer) {
    const { status } = answer
    if (status === 200) this.#judgeAcceptance(edge, token, answer)
    else if (status === 401) this.#judgeRefusal(edge, token, answer)
    else if (status !== 503 || !this.#mayBeUnsure(edge, token, answer)) this.#violate('refused', edge, `${status} ${answer.code}`)
  }

  /** Returns true if a fault may have delayed the news that a session has ended. */
  wasDisturbed(edge, { endedAt }, at) {
    const { arrived } = this.#proxy.arrivals(edge.name, 'status')
    return this.#listFailed(edge) > Math.min(arrived, endedAt - TTL * 1000) || this.#hadFault(endedAt, at)
  }

  #judgeAcceptance(edge, { iat, exp, idx, isForged, session }, { sentAt, answeredAt, clocks }) {
    if (isForged) return this.#violate('accepted', edge, 'a forged token was accepted')
    const earliest = sentAt / 1000 + Math.min(...clocks)
    const latest = answeredAt / 1000 + Math.max(...clocks)
    if (earliest >= exp + edge.tolerance) {
      this.#violate('accepted', edge, `a token was accepted ${(earliest - exp).toFixed(1)} s after exp`)
    }
    if (latest < iat - edge.tolerance) this.#violate('accepted', edge, 'a token from the future was accepted')
    if (session.endedAt === undefined) return
    const fault = this.#lateAcceptance(edge, session, idx, sentAt)
    const seconds = ((sentAt - session.endedAt) / 1000).toFixed(1)
    if (fault !== undefined) this.#violate('revoked', edge, `a token was accepted ${seconds} s after the logout: ${fault}`)
  }

  /** Returns the reason why an edge should know by then that the session has ended. */
  #lateAcceptance(edge, { endedAt }, idx, sentAt) {
    const slack = SLACK + this.#ledger.stalledSince(endedAt)
    const late = sentAt - slack - endedAt
    if (late <= REVOCATION_BOUND * 1000) return undefined
    if (late > (REVOCATION_BOUND + MAX_STALE) * 1000) return this.#hadFault(endedAt, sentAt) ? undefined : 'no list may be so old'
    const { arrived, arrivedAt, isPending, text: list } = this.#proxy.arrivals(edge.name, 'status')
    // A list stays in use beyond its lifetime if its fetch has failed since, or if one after a failure is under way.
    if (this.#listFailed(edge) > arrived || isPending || arrivedAt > sentAt - slack) return undefined
    if (list !== undefined && isRevoked(list, idx)) return 'its list says so'
    if (arrived <= endedAt + POLL * 1000 + slack) return `it has not renewed its list for ${((sentAt - arrived) / 1000).toFixed(1)} s`
    // Without its database, an issuer serves the last list.
    return this.#hadFault(endedAt, arrived) ? undefined : 'the issuers do not list it'
  }

  /** Returns the time of the last fetch that failed. An edge can give up an answer that came, or refuse the list in it. */
  #listFailed({ name, listFailedAt }) {
    return Math.max(this.#proxy.arrivals(name, 'status').failed, listFailedAt)
  }

  /** Returns true if issuers or database were disturbed in that time, or shortly before. */
  #hadFault(from, to) {
    const { faults, startedAt } = this.#ledger
    const [start, end] = [(from - startedAt) / 1000 - RECOVERY, (to - startedAt) / 1000]
    return faults.some((fault) => fault.lane === 'core' && fault.from <= end && (fault.to ?? Infinity) >= start)
  }

  #judgeRefusal(edge, { iat, exp, isForged, session }, { sentAt, answeredAt, clocks, code }) {
    if (isForged || session.endingAt !== undefined) return
    const isExpired = answeredAt / 1000 + Math.max(...clocks) >= exp + edge.tolerance
    const isTooEarly = sentAt / 1000 + Math.min(...clocks) < iat - edge.tolerance
    if (!isExpired && !isTooEarly) this.#violate('refused', edge, `a valid token: 401 ${code}`)
  }

  /** Returns true if the edge lacks keys or a list that it may use, or cannot tell if the token's key exists. */
  #mayBeUnsure(edge, { kid }, { answeredAt }) {
    const { arrived, failed, text: keys } = this.#proxy.arrivals(edge.name, 'keys')
    // Without the metadata, nobody knows where the keys are.
    const failedAt = Math.max(failed, this.#proxy.arrivals(edge.name, 'metadata').failed)
    if (failedAt > arrived && keys !== undefined && !JSON.parse(keys).keys.some((key) => key.kid === kid)) return true
    const bounds = { keys: TTL + STALE_IF_ERROR, status: TTL + MAX_STALE }
    return Object.entries(bounds).some(([document, seconds]) => {
      const { arrived } = this.#proxy.arrivals(edge.name, document)
      return answeredAt - arrived + SLACK + this.#ledger.stalledSince(arrived - seconds * 1000) > seconds * 1000
    })
  }

  #violate(promise, edge, text) {
    this.#ledger.violate(promise, `${edge.name}: ${text}`)
  }
}

function isRevoked(list, idx) {
  const { bits, lst } = decodeUnverified(list).payload.status_list
  if (bits !== 1) throw new Error(`expected a list with one bit for each status, and not ${bits}`)
  return ((inflateSync(Buffer.from(lst, 'base64url'))[idx >> 3] >> (idx & 7)) & 1) === 1
}
