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

export default [
  jest({ name: 'Jest, Node.js 20', runtime: 'node20' }),
  jest({ name: 'Jest, Node.js 24', runtime: 'node24' }),
  {
    name: 'Vitest',
    run: ({ tarball, address }) =>
      inProject({ tarball, address, files: { 'package.test.js': VITEST }, tools: ['vitest'] }, async (cwd) => {
        await run(process.execPath, [toolPath('vitest/vitest.mjs'), 'run'], { cwd })
        return { version: toolVersion('vitest'), loads: 'reads the file' }
      }),
  },
]

/** Jest without configuration and without flags of Node.js: all modules are CommonJS. */
function jest({ name, runtime }) {
  return {
    name,
    async run({ tarball, address }) {
      const { program } = await programOf(runtime)
      await inProject({ tarball, address, files: { 'jest.js': JEST }, type: 'commonjs' }, async (cwd) => {
        await bundleSuite(cwd)
        await run(program, [toolPath('jest/bin/jest.js'), '--cacheDirectory=cache'], { cwd })
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
