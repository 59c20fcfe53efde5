// Reads which function of a WebAssembly module takes how many bytes, by the sizes of their bodies and the name section.

const SECTIONS = [
  'custom', 'types', 'imports', 'function types', 'tables', 'memories', 'globals', 'exports', 'start', 'elements', 'code', 'data',
  'data count', 'tags',
]
const [CUSTOM, IMPORT, CODE] = [0, 2, 10]

/**
 * @param {Uint8Array} bytes a module with a name section
 * @returns {{ sections: Map<string, number>, functions: { name: string, size: number }[] }} bytes; custom sections are
 *   left out, because the package's modules have none
 */
export function functionsOf(bytes) {
  const reader = new Reader(bytes, 8)
  const sections = new Map()
  const sizes = []
  let imported = 0
  let names = new Map()
  while (!reader.atEnd()) {
    const id = reader.byte()
    const section = reader.part()
    if (id === CUSTOM) {
      if (section.string() === 'name') names = readNames(section)
      continue
    }
    sections.set(SECTIONS[id] ?? `section ${id}`, section.length())
    if (id === IMPORT) imported = countFunctions(section)
    if (id === CODE) section.repeat(() => sizes.push(section.part().length()))
  }
  if (names.size === 0) throw new Error('the module has no names of functions')
  const functions = sizes.map((size, index) => ({ name: readable(names.get(imported + index) ?? `function ${index}`), size }))
  return { sections, functions }
}

/** The crate that a function is from: of `<a::B as c::D>::e` it is `a`. What was inlined counts where it went. */
export function crateOf(name) {
  if (/^verifier_| multivalue shim$/.test(name)) return 'the exports, with what is inlined into them'
  const [, crate] = /^[<&([*\s]*(?:mut |dyn |const )*([A-Za-z_][\w]*)::/.exec(name) ?? []
  return crate ?? 'other'
}

/** Sub-section 1 holds pairs of a function's index and its name. */
function readNames(section) {
  const names = new Map()
  while (!section.atEnd()) {
    const id = section.byte()
    const part = section.part()
    if (id === 1) part.repeat(() => names.set(part.number(), part.string()))
  }
  return names
}

function countFunctions(section) {
  let count = 0
  section.repeat(() => {
    section.string()
    section.string()
    const kind = section.byte()
    if (kind === 0) count += 1
    if (kind === 1) section.byte()
    if (kind === 1 || kind === 2) {
      const hasMaximum = section.byte() & 1
      section.number()
      if (hasMaximum) section.number()
    } else if (kind === 3) {
      section.byte()
      section.byte()
    } else {
      section.number()
    }
  })
  return count
}

/** Without the hash that rustc puts behind a name, and with what it cannot write in one. */
function readable(name) {
  const [, legacy] = /^_ZN(.+)E$/.exec(name) ?? []
  if (legacy === undefined) return name.replace(/::h[0-9a-f]{16}$/, '').replace(/\[[0-9a-f]{16}\]/g, '')
  const parts = []
  for (let rest = legacy; /^\d/.test(rest); ) {
    const [digits] = /^\d+/.exec(rest)
    parts.push(rest.slice(digits.length, digits.length + Number(digits)))
    rest = rest.slice(digits.length + Number(digits))
  }
  if (/^h[0-9a-f]{16}$/.test(parts.at(-1))) parts.pop()
  const written = { LT: '<', GT: '>', RF: '&', BP: '*', LP: '(', RP: ')', C: ',', u20: ' ', u5b: '[', u5d: ']', u7b: '{', u7d: '}' }
  return parts
    .map((part) => part.replace(/^_(?=\$)/, '').replace(/\$(\w+)\$/g, (all, code) => written[code] ?? all).replaceAll('..', '::'))
    .join('::')
}

/** Reads LEB128 numbers, strings and sized parts one after the other. */
class Reader {
  #bytes
  #at
  #end

  constructor(bytes, at = 0, end = bytes.length) {
    this.#bytes = bytes
    this.#at = at
    this.#end = end
  }

  atEnd() {
    return this.#at >= this.#end
  }

  length() {
    return this.#end - this.#at
  }

  byte() {
    return this.#bytes[this.#at++]
  }

  number() {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte()
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }

  string() {
    const length = this.number()
    this.#at += length
    return new TextDecoder().decode(this.#bytes.subarray(this.#at - length, this.#at))
  }

  /** What follows its own length, as a reader of its own. */
  part() {
    const length = this.number()
    this.#at += length
    return new Reader(this.#bytes, this.#at - length, this.#at)
  }

  repeat(read) {
    for (let left = this.number(); left > 0; left--) read()
  }
}
