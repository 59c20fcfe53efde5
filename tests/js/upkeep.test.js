// What the documents and the development container say about the tools is what the manifests say.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codeBlocks, read, table } from './support/documents.js'

const [, rust] = /^rust-version = "(.+)"$/m.exec(read('Cargo.toml'))
const [, node] = /^>=(.+)$/.exec(JSON.parse(read('pkg/package.json')).engines.node)
const container = JSON.parse(read('.devcontainer/devcontainer.json'))
const images = [...read('.devcontainer/Dockerfile').matchAll(/^FROM (\w+):(\S+)/gm)].map(([, name, tag]) => [name, tag])

/** Compares versions such as 1.90 and 20.19 by their numbers. */
const isAtLeast = (version, least) => {
  const [[major, minor], [leastMajor, leastMinor]] = [version, least].map((text) => text.split('.').map(Number))
  return major > leastMajor || (major === leastMajor && (minor ?? Infinity) >= (leastMinor ?? 0))
}

test('the documents name the oldest Rust and the oldest Node.js', () => {
  for (const path of ['README.md', 'CONTRIBUTING.md']) {
    assert.ok(read(path).includes(`Rust ${rust} or newer`), path)
  }
  for (const path of ['README.md', 'CONTRIBUTING.md', 'docs/verify.md', 'docs/run-an-issuer.md']) {
    assert.ok(read(path).includes(`Node.js ${node} or newer`), path)
  }
})

test('the development container has pinned images, the Rust of deploy/Dockerfile, and tools that are new enough', () => {
  const tags = Object.fromEntries(images)
  assert.deepEqual(images.map(([name]) => name), ['node', 'rust'])
  const [version] = tags.rust.split('-')
  assert.ok(read('deploy/Dockerfile').includes(`FROM rust:${version}-`), version)
  assert.ok(isAtLeast(version, rust), version)
  assert.ok(isAtLeast(tags.node.split('-')[0], node), tags.node)
  assert.equal(container.build.dockerfile, 'Dockerfile')
})

test('the development container forwards the ports of the demo', () => {
  const [, ports] = /The ports are ([\d, and]+?), or free ones/.exec(read('CONTRIBUTING.md'))
  assert.deepEqual(container.forwardPorts, ports.match(/\d+/g).map(Number))
})

test('CONTRIBUTING.md has commands for each part of its table', () => {
  const text = read('CONTRIBUTING.md')
  const parts = table(text, 'From a clone to a first change').slice(1).map(([part]) => /^\[(\w[\w-]*)\]/.exec(part)?.[1] ?? 'Documents')
  const sections = codeBlocks(text).filter(({ language }) => language === 'sh').map(({ section }) => section)
  assert.deepEqual(parts.filter((part) => !sections.includes(part)), [])
})
