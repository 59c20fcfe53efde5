/** As in a verifier. */
const MAX_DEPTH = 64

const SPACE = /[ \t\n\r]*/y
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const WORD = /true|false|null/y
/** The next character of a string that needs a closer look. */
const SPECIAL = /["\\\u0000-\u001f]/g
const ESCAPE = /\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4})/y
const HIGH_SURROGATE = /^\\u[Dd][89ABab]/
const LOW_SURROGATE = /^\\u[Dd][C-Fc-f]/

/**
 * Finds the first fault of a text that should be one JSON object, as strictly as a verifier: a member twice, a member
 * `__proto__` and half a surrogate pair are faults too.
 *
 * @param {string} text
 * @returns {{ at: number, says: string } | undefined} `at` is the index of the fault in the text
 */
export function faultOfJson(text) {
  try {
    new Reader(text).readAll()
    return undefined
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault
    return { at: fault.at, says: fault.message }
  }
}

class Fault extends Error {
  constructor(at, says) {
    super(says)
    this.at = at
  }
}

class Reader {
  #text
  #at = 0

  constructor(text) {
    this.#text = text
  }

  readAll() {
    this.#match(SPACE)
    if (this.#next() !== '{') throw this.#unexpected('a JSON object, which begins with {')
    this.#value(0)
    this.#match(SPACE)
    if (this.#at < this.#text.length) throw this.#unexpected('the end after the object')
  }

  #value(depth) {
    this.#match(SPACE)
    const next = this.#next()
    if (next === '{' || next === '[') {
      if (depth === MAX_DEPTH) throw new Fault(this.#at, `nests more than ${MAX_DEPTH} levels`)
      return next === '{' ? this.#object(depth + 1) : this.#array(depth + 1)
    }
    if (next === '"') return void this.#string()
    if (this.#match(WORD) === '' && this.#match(NUMBER) === '') throw this.#unexpected('a value')
  }

  #object(depth) {
    const names = new Set()
    this.#list('}', () => {
      const start = this.#at
      if (this.#next() !== '"') throw this.#unexpected('the name of a member in double quotes')
      const name = JSON.parse(this.#string())
      if (names.has(name)) throw new Fault(start, `has the member ${JSON.stringify(name)} twice`)
      if (name === '__proto__') throw new Fault(start, 'has a member __proto__')
      names.add(name)
      this.#match(SPACE)
      if (this.#next() !== ':') throw this.#unexpected('a colon after the name of the member')
      this.#at += 1
      this.#value(depth)
    })
  }

  #array(depth) {
    this.#list(']', () => this.#value(depth))
  }

  /** Reads the items between two brackets. */
  #list(end, readItem) {
    this.#at += 1
    this.#match(SPACE)
    if (this.#next() === end) return void (this.#at += 1)
    for (;;) {
      this.#match(SPACE)
      readItem()
      this.#match(SPACE)
      const next = this.#next()
      if (next !== ',' && next !== end) throw this.#unexpected(`a comma or ${end}`)
      this.#at += 1
      if (next === end) return
    }
  }

  /** Returns the string as it is written. */
  #string() {
    const start = this.#at
    for (this.#at += 1; ; ) {
      SPECIAL.lastIndex = this.#at
      const found = SPECIAL.exec(this.#text)
      if (found === null) throw new Fault(start, 'ends within this string')
      this.#at = found.index
      if (found[0] === '"') return this.#text.slice(start, (this.#at += 1))
      if (found[0] !== '\\') throw new Fault(this.#at, 'has a control character in a string: expected an escape such as \\n')
      this.#escape()
    }
  }

  #escape() {
    const start = this.#at
    const escape = this.#match(ESCAPE)
    if (escape === '') throw new Fault(start, 'has an escape that JSON does not know')
    const isWhole = !HIGH_SURROGATE.test(escape) || LOW_SURROGATE.test(this.#match(ESCAPE))
    if (!isWhole || LOW_SURROGATE.test(escape)) throw new Fault(start, 'has half a surrogate pair')
  }

  #next() {
    return this.#text[this.#at]
  }

  #match(pattern) {
    pattern.lastIndex = this.#at
    const [found = ''] = pattern.exec(this.#text) ?? []
    this.#at += found.length
    return found
  }

  #unexpected(expected) {
    const found = this.#at < this.#text.length ? `has ${quote(this.#text, this.#at)}` : 'ends'
    return new Fault(this.#at, `${found}: expected ${expected}`)
  }
}

/** Quotes the character at this index. */
function quote(text, at) {
  const character = String.fromCodePoint(text.codePointAt(at))
  return /^[\p{L}\p{N}\p{P}\p{S}]$/u.test(character) ? `“${character}”` : `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`
}
