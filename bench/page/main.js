// Measures in the browser that opens this page, and posts the results back to the server.
import { compileKernels, makeSignature, measureKernels } from '../lib/kernels.js'
import { moduleInUse } from '../lib/module.js'
import { runVerify } from '../lib/suites.js'
import { makeKey } from '../lib/tokens.js'

const rounds = Number(location.hash.slice(1))
const progress = document.querySelector('pre')

try {
  const results = await runVerify({ rounds, say: (line) => progress.append(`${line}\n`), kernel })
  await post('/results', { runtime: browserName(), module: await moduleInUse(), ...results })
} catch (error) {
  // Only some engines begin the stack with the message.
  await post('/failure', `${error}\n${error?.stack}`)
}

async function kernel() {
  const modules = await compileKernels(async (build) => (await fetch(`/kernel/${build}`)).arrayBuffer())
  return measureKernels(modules, [], await makeSignature(await makeKey()), rounds)
}

function post(path, body) {
  return fetch(path, { method: 'POST', body: JSON.stringify(body) })
}

function browserName() {
  const [, name, version] = /(Firefox|Chrome|Version)\/(\d+)/.exec(navigator.userAgent) ?? ['', 'Browser', '']
  return `${{ Chrome: 'Chromium', Version: 'WebKit' }[name] ?? name} ${version}`
}
