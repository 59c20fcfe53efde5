import { ageOf, RENEW_AHEAD, usable } from './cache-entry.js'
import { readPart } from './decode.js'
import { refuse, refuseOption, VerifyError } from './errors.js'
import { clamp, fetchDocument, MAX_DOCUMENT_BYTES, refuseDocument, report } from './fetch-document.js'
import { inWords } from './in-words.js'
import { DEFAULTS, isJsonScalar, isObject, isPlainObject, POLICY, readClock } from './options.js'
import { TIMED_OUT, withTimeout } from './timing.js'

/**
 * The functions for scripts that are loaded only if they are used. They get them as an argument: an import would make bundlers
 * split the function's module off from the script of every page.
 */
export const tools = {
  ageOf,
  clamp,
  DEFAULTS,
  fetchDocument,
  inWords,
  isJsonScalar,
  isObject,
  isPlainObject,
  MAX_DOCUMENT_BYTES,
  POLICY,
  readClock,
  readPart,
  refuse,
  refuseDocument,
  refuseOption,
  RENEW_AHEAD,
  report,
  TIMED_OUT,
  usable,
  VerifyError,
  withTimeout,
}

export type Tools = typeof tools
