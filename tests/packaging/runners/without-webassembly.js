// Engines without WebAssembly, which take `countersign/js`; `countersign` must say so. Their programs have no network: they
// contain the responses, and print the result.
import { fileURLToPath } from 'node:url'
import { programOf } from '../../runtimes/runtimes.js'
import { inProject, run, toolPath, toolVersion } from '../project.js'

const FASTLY_HOST = fileURLToPath(new URL('../fastly/host.js', import.meta.url))

const START = `
import * as countersign from 'countersign/js'
import { createVerifier } from 'countersign'
import { address } from './address.js'
import { conform } from './conformance.js'

export async function start() {
  const message = await createVerifier({ issuer: 'https://auth.example', audience: 'api' }).then(String, (error) => error.message)
  if (!/no WebAssembly; import 'countersign\\/js'/.test(message)) throw new Error(message)
  await conform(countersign, address)
}
`

const NETWORK = `
import responses from './responses.js'

globalThis.fetch = async (url, { method, body } = {}) => {
  if (method === 'POST') return console.log(body)
  return { status: 200, headers: new Map(), text: async () => responses[url], json: async () => JSON.parse(responses[url]) }
}
`

const NODE = `
import './network.js'
import { start } from './start.js'

start()
`

const FASTLY = `
import './network.js'
import { start } from './start.js'

addEventListener('fetch', (event) => event.respondWith(start().then(() => new Response())))
`

/** Replaces React Native's native modules, and methods that its version of Hermes has and the one on npm does not have. */
const NATIVE = `
globalThis.nativeModuleProxy = {}
globalThis.performance = Date
String.prototype.at = Array.prototype.at = function (index) {
  return this[index < 0 ? this.length + index : index]
}
`

// The classes are React Native's own.
const REACT_NATIVE = `
import './native.js'
import { toByteArray } from 'base64-js'
import { AbortController } from 'react-native/src/private/webapis/dom/abort-api/AbortController'
import { URL } from 'react-native/Libraries/Blob/URL'
import { Response } from 'react-native/Libraries/Network/fetch'
import responses from './responses.js'
import { start } from './start.js'

const atob = (text) => String.fromCharCode(...toByteArray(text.padEnd(Math.ceil(text.length / 4) * 4, '=')))
const fetch = async (url, { method, body } = {}) => (method === 'POST' ? print(body) : new Response(responses[url]))
Object.assign(globalThis, { AbortController, atob, fetch, Response, URL })
start()
`

export default [
  {
    name: 'Node.js with --jitless, countersign/js',
    run: ({ tarball, address }) =>
      inProgram({ tarball, address, files: { 'program.js': NODE }, every: 8 }, async (cwd, vectors) => {
        await post(address, await run(process.execPath, ['--jitless', 'program.js'], { cwd }))
        return { version: process.versions.node, loads: 'in the JavaScript', vectors }
      }),
  },
  {
    name: 'React Native in Hermes, countersign/js',
    tools: 'react-native',
    async run({ tarball, address, installed }) {
      const files = { 'program.js': REACT_NATIVE, 'native.js': NATIVE, 'metro.config.cjs': metroConfig(installed), 'babel.config.cjs': BABEL_CONFIG }
      const tools = ['@react-native/babel-preset', '@react-native/metro-config', 'react-native']
      const { program: node } = await programOf('node24')
      return inProgram({ tarball, address, files, tools, installed, every: 4 }, async (cwd, vectors) => {
        const flags = ['--platform', 'android', '--dev', 'false', '--config', 'metro.config.cjs']
        await run(node, [toolPath('metro/src/cli.js', installed), 'build', 'program.js', '--out', 'bundle.js', ...flags], { cwd })
        // React Native's compiler of this version accepts the bundle. An older engine, the only one on npm, runs it.
        await run(toolPath(`hermes-compiler/hermesc/${HERMES_FOLDER}/hermesc`, installed), ['-w', '-emit-binary', '-out', 'bundle.hbc', 'bundle.js'], { cwd })
        await post(address, await run(toolPath(`hermes-engine-cli/${HERMES_FOLDER}/hermes`, installed), [...HERMES_FLAGS, 'bundle.js'], { cwd }))
        return { version: toolVersion('react-native', installed), loads: 'in the JavaScript', vectors }
      })
    },
  },
  {
    name: 'Fastly Compute, countersign/js',
    tools: 'fastly',
    run: ({ tarball, address, installed }) =>
      inProgram({ tarball, address, files: { 'program.js': FASTLY }, every: 8 }, async (cwd, vectors) => {
        await run(process.execPath, [toolPath('@fastly/js-compute/dist/cli/js-compute-runtime-cli.js', installed), 'program.js', 'program.wasm'], { cwd })
        await post(address, await run(process.execPath, [FASTLY_HOST, 'program.wasm'], { cwd }))
        return { version: toolVersion('@fastly/js-compute', installed), loads: 'in the JavaScript', vectors }
      }),
  },
]

const HERMES_FOLDER = { linux: 'linux64-bin', darwin: 'osx-bin', win32: 'win64-bin' }[process.platform]

/** With React Native's queue of microtasks. Without it, promises wait for timers. */
const HERMES_FLAGS = ['-O', '-w', '-Xmicrotask-queue']

const BABEL_CONFIG = `module.exports = { presets: ['@react-native/babel-preset'] }`

/** Metro reads only files of these folders, and the project links React Native. */
function metroConfig(installed) {
  const [folder, modules] = [installed, toolPath('', installed)].map((path) => JSON.stringify(path))
  return `
const { getDefaultConfig, mergeConfig } = require('@react-native/metro-config')

module.exports = mergeConfig(getDefaultConfig(__dirname), {
  watchFolders: [${folder}],
  resolver: { nodeModulesPaths: [${modules}] },
  // Without the setup of React Native, which needs its native modules.
  serializer: { getModulesRunBeforeMainModule: () => [] },
})
`
}

/**
 * Makes a project whose program needs no network. These engines only interpret JavaScript, and take 50 to 150 ms for a vector.
 * So they run some, and each in one way. All vectors run with --jitless in `tests/js`.
 *
 * @param {{ every: number }} setting the program runs every n-th vector
 * @param {(cwd: string, vectors: number) => Promise<object>} work
 */
async function inProgram({ tarball, address, files, tools, installed, every }, work) {
  const { vectors: all, ...job } = await (await fetch(address)).json()
  const vectors = all.filter((_, index) => index % every === 0)
  const responses = {
    [address]: JSON.stringify({ ...job, vectors, ways: ['verifySync'] }),
    [job.options.jwks]: await (await fetch(job.options.jwks)).text(),
  }
  const own = { 'start.js': START, 'network.js': NETWORK, 'responses.js': `export default ${JSON.stringify(responses)}` }
  return inProject({ tarball, address, files: { ...own, ...files }, tools, installed }, (cwd) => work(cwd, vectors.length))
}

/** Posts the printed result for the program. */
async function post(address, { stdout }) {
  await fetch(address, { method: 'POST', body: stdout })
}
