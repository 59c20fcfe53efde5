// Runtimes that run a script: Node.js by import and by require(), Deno, Bun.
import assert from 'node:assert/strict'
import { programOf } from '../../runtimes/runtimes.js'
import { inProject, mainOf, run } from '../project.js'

const REQUIRE = `
const countersign = require('countersign')
import('./conformance.js').then(async ({ conform }) => {
  const { address } = await import('./address.js')
  await conform(countersign, address)
})
`

// The module is imported too, because in Deno the import makes the instance.
export const DENO = `
import * as countersign from 'countersign'
import * as module from 'countersign/countersign.relaxed.wasm'
import { address } from './address.js'
import { conform } from './conformance.js'

await conform(countersign, address, module)
`

export default [
  ...['20', '22', '24', '26'].flatMap((version) => [
    script({ name: `Node.js ${version}, import`, runtime: `node${version}`, loads: 'reads the file' }),
    script({ name: `Node.js ${version}, require()`, runtime: `node${version}`, loads: 'reads the file', file: 'main.cjs', files: { 'main.cjs': REQUIRE } }),
  ]),
  script({ name: 'Node.js, countersign/js', runtime: 'node', loads: 'in the JavaScript', file: 'js.js', files: { 'js.js': mainOf('countersign/js') } }),
  script({ name: 'Bun', runtime: 'bun', loads: 'reads the file', kernel: 'wide' }),
  script({
    name: 'Deno',
    runtime: 'deno',
    loads: 'import, no right to read',
    // Without --allow-read: the program may not read files.
    flags: ['run', '--node-modules-dir=manual', '--no-prompt', '--allow-net'],
    file: 'main-deno.js',
    files: { 'main-deno.js': DENO },
  }),
]

function script({ name, runtime, loads, kernel, flags = [], file = 'main.js', files = {} }) {
  return {
    name,
    async run({ tarball, address }) {
      const { program, version } = await programOf(runtime)
      const { stderr } = await inProject({ tarball, address, files }, (cwd) => run(program, [...flags, file], { cwd }))
      // Some versions of Node.js warn about each require() of an ES module.
      assert.deepEqual(stderr.split('\n').filter((line) => line !== '' && !/ExperimentalWarning|--trace-warnings/.test(line)), [])
      return { version, loads, kernel }
    },
  }
}
