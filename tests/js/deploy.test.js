// The files of `deploy/` for Kubernetes and Docker fit their schemas and the issuer.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { issuerBinary } from './support/issuer.js'

const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url))
const KUBERNETES = join(DEPLOY, 'kubernetes/countersign-issuer.yaml')

/** The seconds that the issuer gives requests in flight. */
const DRAIN = 10

const YAML_TO_JSON = 'import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))'

/** A master key. */
const MASTER_KEY = Buffer.alloc(32, 1).toString('base64')

test('the manifests for Kubernetes conform to its schema', async () => {
  await run([installed('kubernetes-validate'), '--strict', KUBERNETES])
})

test('the manifests for Kubernetes fit the issuer', async (t) => {
  const manifests = await parse(await readFile(KUBERNETES, 'utf8'))
  const of = (kind) => manifests.find((manifest) => manifest.kind === kind)
  const { replicas, template } = of('Deployment').spec
  const [container] = template.spec.containers
  const settings = await check(t, of('ConfigMap').data['issuer.toml'], {
    COUNTERSIGN_DATABASE: 'postgres://user:password@127.0.0.1/countersign',
  })

  const ports = Object.fromEntries(container.ports.map(({ name, containerPort }) => [name, containerPort]))
  assert.deepEqual([ports.http, ports.metrics], [portOf(settings.listen), portOf(settings.admin_listen)])
  assert.ok(template.spec.terminationGracePeriodSeconds > secondsOf(settings.shutdown_delay) + DRAIN)
  const { periodSeconds, failureThreshold } = container.readinessProbe
  assert.ok(periodSeconds * failureThreshold < secondsOf(settings.shutdown_delay))
  assert.ok(replicas > of('PodDisruptionBudget').spec.minAvailable)
  const { labels } = template.metadata
  for (const selector of [
    of('Deployment').spec.selector.matchLabels,
    of('Service').spec.selector,
    of('PodDisruptionBudget').spec.selector.matchLabels,
    of('NetworkPolicy').spec.podSelector.matchLabels,
  ]) {
    assert.deepEqual(selector, labels)
  }
})

test('the compose file is valid and fits the image, nginx and the issuer', async (t) => {
  const [{ services, networks }] = await parse(await run(['docker-compose', '-f', join(DEPLOY, 'compose.yaml'), 'config']))
  const image = await readFile(join(DEPLOY, 'Dockerfile'), 'utf8')
  const nginx = await readFile(join(DEPLOY, 'proxies/nginx.conf'), 'utf8')
  const addressOf = (name) => services[name].networks.front.ipv4_address

  for (const name of ['issuer-1', 'issuer-2']) {
    const { environment, command, stop_grace_period: grace, read_only } = services[name]
    assert.equal(command.at(-1), 'serve')
    // The image has settings too.
    const fromImage = Object.fromEntries([...image.matchAll(/(COUNTERSIGN_\w+)=(\S+)/g)].map(([, name, value]) => [name, value]))
    const database = 'database = "postgres://countersign:PASSWORD@postgres/countersign?sslmode=disable"\n'
    const settings = await check(t, database, { ...fromImage, ...environment })
    assert.equal(settings.trusted_proxies, `${addressOf('nginx')}/32`)
    assert.ok(secondsOf(grace) > secondsOf(settings.shutdown_delay) + DRAIN)
    assert.ok(nginx.includes(`server ${addressOf(name)}:${portOf(settings.listen)} `))
    assert.ok(read_only)
  }
  // Only nginx can be reached from outside.
  const published = Object.keys(services).filter((name) => services[name].ports)
  assert.deepEqual(published, ['nginx'])
  assert.ok(networks.back.internal)
})

/** Runs `config check` with a configuration file and an environment, and returns the settings. */
async function check(t, toml, env) {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-deploy-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const masterKey = join(folder, 'master-key')
  await writeFile(masterKey, MASTER_KEY, { mode: 0o600 })
  const file = join(folder, 'issuer.toml')
  await writeFile(file, toml.replace(/^master_key_file = .*$/m, `master_key_file = "${masterKey}"`), { mode: 0o600 })
  if (env.COUNTERSIGN_MASTER_KEY_FILE) env = { ...env, COUNTERSIGN_MASTER_KEY_FILE: masterKey }
  const shown = await run([issuerBinary(), '--config', file, 'config', 'check', '--offline'], { env })
  return Object.fromEntries(shown.split('\n').map((line) => line.split(' = ')))
}

function portOf(address) {
  return Number(address.split(':').at(-1))
}

function secondsOf(duration) {
  const [, number] = /^(\d+)s$/.exec(duration)
  return Number(number)
}

/** Returns the documents of a YAML text. */
async function parse(text) {
  return JSON.parse(await run([installed('python'), '-c', YAML_TO_JSON], {}, text))
}

/** Runs a program and returns its stdout. Its failure has its stderr. */
async function run([program, ...args], options = {}, stdin = '') {
  const running = promisify(execFile)(program, args, options)
  running.child.stdin.end(stdin)
  return (await running).stdout
}

/** `cargo xtask test js` installs these programs beside the issuer, in cargo's target folder. */
function installed(name) {
  return resolve(dirname(issuerBinary()), '../tools/deploy/bin', name)
}
