// All documents: each link leads somewhere, each page is in the table of contents, and each block of code is run, compiled or
// checked by a test.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, normalize } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { JSDOM } from 'jsdom'
import { anchors, codeBlocks, documents, links, prose, read, ROOT, table, tables } from './support/documents.js'

const all = documents()
const folder = await mkdtemp(join(tmpdir(), 'countersign-documents-'))
after(() => rm(folder, { recursive: true }))

/** The tests that run the blocks of a document, in these languages. Blocks in others are checked below, by their language. */
const RUN = {
  'docs/issuer.md': { test: 'issuer/tests/issuer/document_commands.rs', languages: ['sh', 'console'] },
  'docs/operations.md': { test: 'issuer/tests/issuer/document_commands.rs', languages: ['sh', 'console', 'yaml'] },
  'docs/migrate.md': { test: 'tests/js/migrate.test.js', languages: ['js'] },
  'docs/recipes.md': { test: 'tests/js/recipes.test.js', languages: ['js', 'cjs', 'ts'] },
  'docs/run-an-issuer.md': { test: 'tests/js/getting-started.test.js', languages: ['sh', 'console', 'js'] },
  'docs/verify.md': { test: 'tests/js/getting-started.test.js', languages: ['sh', 'console', 'js'] },
  'pkg/examples/edge-gateway/README.md': { test: 'tests/packaging/edge-gateway.test.js', languages: ['js'] },
  'verifier-wasm/README.md': { test: 'tests/js/bindgen.test.js', languages: ['js', 'rust'] },
}

/** Each checks the blocks of a language. */
const CHECKS = {
  js: compiles,
  ts: compiles,
  json: isJson,
  jsonc: ({ text }) => isJson({ text: text.replaceAll(/(^|\s)\/\/.*$/gm, '') }),
  html: isHtml,
  http: (block) => assert.match(block.text, /^([\w-]+: \S.*\n)+$/),
  toml: namesSettings,
  sh: namesPrograms,
  console: namesPrograms,
  rust: isDocumentation,
  'rust,no_run': isDocumentation,
}

test('each relative link leads to a file of the repository, and to a heading of it', () => {
  let checked = 0
  for (const path of all) {
    for (const link of links(read(path))) {
      if (/^[a-z]+:/.test(link)) continue
      checked++
      const [target, anchor] = link.split('#')
      const file = target === '' ? path : normalize(join(dirname(path), target))
      assert.ok(existsSync(join(ROOT, file)), `${path}: ${link}`)
      if (anchor !== undefined) assert.ok(anchors(read(file)).has(anchor), `${path}: ${link}`)
    }
  }
  assert.ok(checked > 300, `${checked} links`)
})

test('the table of contents has every document', () => {
  const listed = links(read('docs/README.md')).map((link) => normalize(join('docs', link)))
  const outside = ['README.md', 'docs/README.md']
  const pages = all.filter((path) => !outside.includes(path) && !path.startsWith('.github/'))
  assert.deepEqual(pages.filter((path) => !listed.includes(path)), [])
})

test('each test that runs the blocks of a document names it', () => {
  for (const [path, { test }] of Object.entries(RUN)) assert.ok(read(test).includes(basename(path)), `${test}: ${path}`)
})

test('each block of code is fenced, so that it has a language', () => {
  for (const path of all) assert.doesNotMatch(prose(read(path)), /(?:^|\n)\n {4}[^ -]/, path)
})

for (const [path, block] of checked()) {
  test(`${path}:${block.line} is good ${block.language}`, async (t) => {
    const reason = block.remarks.map((remark) => /^not run, (.+)/.exec(remark)?.[1]).find(Boolean)
    if (reason !== undefined) return t.diagnostic(`not run: ${reason}`)
    assert.ok(Object.hasOwn(CHECKS, block.language), `no test runs or checks ${block.language}: name it in RUN or in CHECKS`)
    await CHECKS[block.language](block, path)
  })
}

/** Returns each document and block that no other test runs. */
function checked() {
  return all.flatMap((path) => {
    const blocks = codeBlocks(read(path))
    for (const [index, block] of blocks.entries()) {
      if (block.remarks.includes('continues the block before')) block.text = `${blocks[index - 1].text}{\n${block.text}}\n`
    }
    // Drawings have no language.
    return blocks.filter(({ language }) => language !== '' && !RUN[path]?.languages.includes(language)).map((block) => [path, block])
  })
}

/** Names that the text around a block explains. */
const NAMES = `
import type { Verifier, VerifierOptions } from 'countersign'
import type { Session } from 'countersign/session'
declare global {
  const createVerifier: (options: VerifierOptions) => Promise<Verifier>
  const fetchAsPod: typeof fetch
  const options: VerifierOptions
  const token: string
  const username: string
  const password: string
  const request: Request
  const verifier: Verifier
  const app: { use(handler: unknown): void }
  const ctx: { waitUntil(promise: Promise<unknown>): void }
  const redis: { get(key: string): Promise<string | null>; set(key: string, value: string, mode: 'EX', seconds: number): Promise<unknown> }
  const render: (status: string) => void
  const session: Session
  const askForCode: () => Promise<string>
  const askForPassword: () => Promise<string>
  const showQrCode: (uri: string) => void
  const showOnce: (codes: readonly string[]) => void
  let nextRefresh: number
}
`
const WORKERS = `declare module 'cloudflare:workers' { export function waitUntil(promise: Promise<unknown>): void }`

/** Compiles all programs of a language at once, against the types of the package. Returns the compiler's output. */
const compiled = {}
function compile(language) {
  return (compiled[language] ??= (async () => {
    const project = join(folder, language)
    await mkdir(project)
    await symlink(join(ROOT, 'node_modules'), join(project, 'node_modules'), 'junction')
    const compilerOptions = { allowJs: true, checkJs: true, noEmit: true, module: 'esnext', moduleResolution: 'bundler', target: 'es2022', skipLibCheck: true, strict: language === 'ts', types: ['node'] }
    const files = { 'tsconfig.json': JSON.stringify({ compilerOptions }), 'package.json': '{"type":"module"}', 'names.d.ts': NAMES, 'workers.d.ts': WORKERS }
    for (const [path, block] of checked()) {
      // Without an import, a file would be a script, whose names are global.
      if (block.language === language) files[fileOf(block, path)] = `${block.text}export {}\n`
    }
    for (const [name, content] of Object.entries(files)) await writeFile(join(project, name), content)
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    return promisify(execFile)(process.execPath, [tsc, '--pretty', 'false'], { cwd: project }).then(() => '', ({ stdout }) => stdout)
  })())
}

const fileOf = ({ line, language }, path) => `${path.replaceAll(/\W+/g, '-')}-${line}.${language}`

async function compiles(block, path) {
  const output = await compile(block.language)
  // Faults of this test itself.
  assert.doesNotMatch(output, /^(?:error|\w+\.d\.ts)/m)
  const errors = output.split('\n').filter((line) => line.startsWith(`${fileOf(block, path)}(`))
  assert.deepEqual(errors, [])
}

/** JSON, or members of an object. `…` stands for more. */
function isJson({ text }) {
  JSON.parse((text.startsWith('"') ? `{${text}}` : text).replaceAll('…', ''))
}

/** HTML without a fault that browsers correct silently, and with import maps that are JSON. */
function isHtml({ text }) {
  const { window } = new JSDOM(text)
  for (const { type, textContent } of window.document.scripts) {
    if (type === 'importmap') JSON.parse(textContent)
  }
  const written = [...text.matchAll(/<(\w+)/g)].map(([, name]) => name)
  const found = [...window.document.querySelectorAll('*')].map(({ localName }) => localName)
  assert.deepEqual(written.filter((name) => !found.includes(name)), [])
}

/** A part of the issuer's configuration. */
function namesSettings({ text }) {
  const settings = new Set(table(read('docs/issuer.md'), 'Configuration').map(([name]) => name.replaceAll('`', '')))
  for (const line of text.trim().split('\n')) {
    if (line.startsWith('#')) continue
    const [, name] = /^(\w+) = (?:"[^"]*"|\[.*\]|true|false|\d+)$/.exec(line) ?? []
    assert.ok(settings.has(name), line)
  }
}

const issuerCommands = tables(read('docs/issuer.md')).find(([[heading]]) => heading === 'command').map(([command]) => /^`(\w+)/.exec(command)?.[1])
const xtaskCommands = [...read('xtask/src/main.rs').matchAll(/^ +Command::(\w+)/gm)].map(([, name]) => name.toLowerCase())
const crates = [...read('Cargo.lock').matchAll(/^name = "(.+)"$/gm)].map(([, name]) => name)

/** Programs of the documents, each with a check of its arguments. */
const PROGRAMS = {
  cargo: ([command, ...args]) => {
    if (command === 'xtask') assert.ok(xtaskCommands.includes(args[0]), args[0])
    const [, name] = /(?:^| )(?:-p|--package) (\S+)/.exec(args.join(' ')) ?? []
    if (name !== undefined) assert.ok(crates.includes(name), name)
    const [, test] = / --test (\S+)/.exec(args.join(' ')) ?? []
    const folder = `${name?.replace('countersign-', '')}/tests/${test}`
    if (test !== undefined) assert.ok(existsSync(join(ROOT, folder)) || existsSync(join(ROOT, `${folder}.rs`)), folder)
  },
  node: (args) => {
    for (const arg of args) if (arg.endsWith('.js')) assert.ok(existsSync(join(ROOT, arg)), arg)
  },
  npx: ([program, command]) => {
    if (program === 'countersign') assert.ok(existsSync(join(ROOT, `pkg/src/cli/${command}.ts`)), command)
    else assert.equal(program, 'wrangler')
  },
  'countersign-issuer': (args) => assert.ok(issuerCommands.includes(args.find((arg) => !arg.startsWith('-'))), args.join(' ')),
  cd: () => {},
  curl: () => {},
  deno: () => {},
  echo: () => {},
  git: () => {},
  jq: () => {},
  npm: () => {},
  openssl: () => {},
}

/** Commands that this test cannot run: their programs, and what they name, exist. */
async function namesPrograms({ language, text }) {
  const commands = language === 'sh' ? text : text.split('\n').filter((line) => line.startsWith('$ ')).map((line) => line.slice(2)).join('\n')
  await promisify(execFile)('bash', ['-n', '-c', commands])
  for (const command of commands.replaceAll(/\\\n/g, ' ').replaceAll(/ # .*$/gm, '').split(/\n| && | \| |\$\(/)) {
    const words = command.trim().replace(/^export |^\$EDITOR .*/, '').split(/\s+/)
    while (/^\w+=/.test(words[0])) words.shift()
    const [program, ...args] = words
    if (program === undefined || program === '') continue
    assert.ok(Object.hasOwn(PROGRAMS, program), `${program}: ${command}`)
    PROGRAMS[program](args)
  }
}

/** Rust that `cargo test` compiles, because the document is part of a crate's documentation. */
function isDocumentation(_, path) {
  const crates = ['axum', 'claims', 'tests', 'verifier']
  const included = crates.flatMap((name) => {
    return [...read(`${name}/src/lib.rs`).matchAll(/include_str!\("(.+?)"\)/g)].map(([, file]) => normalize(join(name, 'src', file)))
  })
  assert.ok(included.includes(path), 'no crate includes this document')
}
