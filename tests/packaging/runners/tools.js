// Test runners. Each runs a test file of the project.
import * as esbuild from 'esbuild'
import { programOf } from '../../runtimes/runtimes.js'
import { inProject, run, toolPath, toolVersion } from '../project.js'

/** More than the default time limit of a test. */
const LIMIT_MS = 120_000

const JEST = `
const countersign = require('countersign')
const { address } = require('./address.js')
const { conform } = require('./conformance.js')

test('the package conforms', () => conform(countersign, address), ${LIMIT_MS})
test('it is the one for require()', () => expect(require.resolve('countersign')).toMatch(/commonjs/))
`

const VITEST = `
import * as countersign from 'countersign'
import { test } from 'vitest'
import { address } from './address.js'
import { conform } from './conformance.js'

test('the package conforms', () => conform(countersign, address), ${LIMIT_MS})
`

// jsdom has no `fetch`. That of Node.js takes only its own signals.
const JSDOM_WITH_FETCH = `
const { TestEnvironment } = require('jest-environment-jsdom')

module.exports = class extends TestEnvironment {
  constructor(...args) {
    super(...args)
    Object.assign(this.global, { AbortController, AbortSignal, fetch, Response })
  }
}
`

// happy-dom enforces CORS, and the server of the jobs answers no preflight.
const HAPPY_DOM = `
// @vitest-environment happy-dom
// @vitest-environment-options { "settings": { "fetch": { "disableSameOriginPolicy": true } } }
`

export default [
  jest({ name: 'Jest, Node.js 20', runtime: 'node20' }),
  jest({ name: 'Jest, Node.js 24', runtime: 'node24' }),
  jest({ name: 'Jest with jsdom, Node.js 20', runtime: 'node20', flags: ['--env=./jsdom.js'] }),
  jest({ name: 'Jest with jsdom, Node.js 24', runtime: 'node24', flags: ['--env=./jsdom.js'] }),
  vitest({ name: 'Vitest' }),
  vitest({ name: 'Vitest with jsdom', comment: '// @vitest-environment jsdom' }),
  vitest({ name: 'Vitest with happy-dom', comment: HAPPY_DOM }),
]

/** @param {{ comment?: string }} setting `comment` configures Vitest for this file */
function vitest({ name, comment = '' }) {
  return {
    name,
    run: ({ tarball, address }) =>
      inProject({ tarball, address, files: { 'package.test.js': comment + VITEST }, tools: ['vitest', 'jsdom', 'happy-dom'] }, async (cwd) => {
        await run(process.execPath, [toolPath('vitest/vitest.mjs'), 'run'], { cwd })
        return { version: toolVersion('vitest'), loads: 'reads the file' }
      }),
  }
}

/** Jest without configuration and without flags of Node.js: all modules are CommonJS. */
function jest({ name, runtime, flags = [] }) {
  return {
    name,
    async run({ tarball, address }) {
      const { program } = await programOf(runtime)
      const files = { 'jest.js': JEST, 'jsdom.js': JSDOM_WITH_FETCH }
      await inProject({ tarball, address, files, type: 'commonjs', tools: ['jest-environment-jsdom'] }, async (cwd) => {
        await bundleSuite(cwd)
        await run(program, [toolPath('jest/bin/jest.js'), '--cacheDirectory=cache', ...flags], { cwd })
      })
      return { version: toolVersion('jest'), loads: 'reads the file' }
    },
  }
}

/** Turns the project's own files into CommonJS. */
async function bundleSuite(absWorkingDir) {
  await esbuild.build({
    absWorkingDir,
    entryPoints: { 'package.test': 'jest.js' },
    bundle: true,
    outdir: '.',
    format: 'cjs',
    external: ['countersign'],
    logLevel: 'silent',
  })
}
