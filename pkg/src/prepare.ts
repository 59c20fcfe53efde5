import { readOptions } from './all-options.js'
import type { Servers } from './documents.js'
import type { VerifyError } from './errors.js'
import { OptionFault } from './option-fault.js'
import type { Settings } from './options.js'
import { Policies, type PolicyVerifier } from './policies.js'
import type { Tools } from './tools.js'
import type { Verifier } from './types.js'
import type { problemOfOption } from './words.js'

/** The script of every page, for the script with this file, which a page loads if it has options that are not plain. */
export interface Program {
  readonly makeVerifier: (settings: Settings) => PolicyVerifier
  readonly servers?: Servers | undefined
  readonly tools: Tools
}

/** The option `status`: makes a verifier that also looks at the status of tokens. */
export type WithStatus = (verifier: PolicyVerifier, settings: Settings) => PolicyVerifier

/** Makes a verifier once `load` has loaded the WebAssembly module. */
export async function createVerifier(load: () => void | Promise<void>, options: unknown, program: Program): Promise<Verifier> {
  try {
    const make = prepare(options, program)
    await load()
    return make()
  } catch (error) {
    if (!(error instanceof OptionFault)) throw error
    throw refusalOf(error, await program.tools.inWords((words) => words.problemOfOption(error), NOT_LOADED), program)
  }
}

/** The same for a module and words that are loaded synchronously. */
export function createVerifierSync(load: () => void, options: unknown, say: typeof problemOfOption, program: Program): Verifier {
  try {
    const make = prepare(options, program)
    load()
    return make()
  } catch (error) {
    throw error instanceof OptionFault ? refusalOf(error, say(error), program) : error
  }
}

const NOT_LOADED = 'is refused; the script with the reason was not loaded'

function refusalOf({ prefix, name, other }: OptionFault, problem: string, { tools }: Program): VerifyError {
  return tools.refuseOption(prefix + name, problem, other instanceof Error ? other : undefined)
}

/** Reads the options. Returns a function that makes the verifier. */
function prepare(options: unknown, { makeVerifier, servers, tools }: Program): () => Verifier {
  const make = (settings: Settings) => {
    const verifier = makeVerifier(settings)
    return (settings.status as WithStatus | undefined)?.(verifier, settings) ?? verifier
  }
  const read = (one: unknown) => readOptions(one, servers, tools)
  if (Array.isArray(options)) {
    return () => new Policies(options, (one, index) => withIndex(index, () => make(read(one)), tools), tools)
  }
  const settings = read(options)
  return () => make(settings)
}

/** Makes the verifier of a policy. Adds the policy's index to the option's name in a refusal. */
function withIndex(index: number, make: () => PolicyVerifier, { VerifyError }: Tools): PolicyVerifier {
  try {
    return make()
  } catch (error) {
    if (error instanceof OptionFault) error.prefix = `[${index}].${error.prefix}`
    if (!(error instanceof VerifyError) || error.code !== 'options_invalid') throw error
    const message = error.message.replace('option `', `option \`[${index}].`)
    throw new VerifyError({ ...error, message, reason: `[${index}].${error.reason}` }, error)
  }
}
