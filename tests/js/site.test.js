// The files of the static site: their links, their policy, and the list of what works offline. tests/browser/site.test.js opens them.
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, posix } from 'node:path'
import { after, before, test } from 'node:test'
import { JSDOM } from 'jsdom'
import { createAnchors } from '../../www/anchors.js'
import { buildSite } from '../../www/build.js'
import { pageOf } from '../../www/docs.js'
import { policyOf } from '../../www/policy.js'
import { links, read } from './support/documents.js'

let folder
const pages = new Map()
const files = new Set()

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-site-'))
  for (const path of await buildSite(folder)) {
    files.add(path)
    if (path.endsWith('.html')) pages.set(path, new JSDOM(await readFile(join(folder, path), 'utf8')).window.document)
  }
})

after(() => rm(folder, { recursive: true }))

test('each document of the table of contents is a page', () => {
  for (const link of links(read('docs/README.md'))) {
    if (link.endsWith('.md')) assert.ok(pages.has(pageOf(posix.join('docs', link))), link)
  }
})

test('each link leads to a file of the site, and to a place in it', () => {
  let checked = 0
  for (const [path, page] of pages) {
    for (const element of page.querySelectorAll('[href], [src], [srcset]')) {
      const link = element.getAttribute('href') ?? element.getAttribute('src') ?? element.getAttribute('srcset')
      if (/^https?:/.test(link)) {
        assert.equal(element.localName, 'a', `${path}: a request to ${link}`)
        continue
      }
      checked++
      const [target, anchor] = link.split('#')
      const file = posix.join(posix.dirname(path), target === '' ? posix.basename(path) : target).replace(/(^\.?\/?|\/)$/, '$1index.html').replace(/^\.\//, '')
      assert.ok(pages.has(file) || files.has(file), `${path}: ${link}`)
      // Cases of refusals are made by their page.
      if (anchor) assert.ok(pages.get(file).getElementById(anchor) !== null || file === 'refusals.html', `${path}: ${link}`)
    }
  }
  assert.ok(checked > 1000, `${checked} links`)
})

test('each page has its policy before all scripts, and nothing inline', () => {
  for (const [path, page] of pages) {
    const [policy, ...scripts] = page.querySelectorAll('meta[http-equiv], script')
    assert.equal(policy.content, policyOf(path), path)
    for (const { src, textContent } of scripts) assert.deepEqual([src === '', textContent.trim()], [false, ''], path)
    assert.equal(page.querySelectorAll('style, [style]').length, 0, path)
    for (const element of page.querySelectorAll('*')) {
      assert.deepEqual(element.getAttributeNames().filter((name) => name.startsWith('on')), [], path)
    }
  }
})

test('each page has a title, a description, one heading of the first level, and says where it is', () => {
  for (const [path, page] of pages) {
    assert.ok(page.title.length > 0, path)
    assert.ok(page.querySelector('meta[name=description]').content.length > 20, path)
    assert.equal(page.querySelectorAll('h1').length, 1, path)
    const framed = path === 'sessions-tab.html'
    assert.equal(page.querySelectorAll('header nav [aria-current=page]').length, framed ? 0 : 1, path)
  }
})

test('no file of the demo is in it', () => {
  for (const path of files) assert.doesNotMatch(path, /^(account|again)/)
})

test('the service worker keeps all other files', async () => {
  const source = await readFile(join(folder, 'service-worker.js'), 'utf8')
  const list = JSON.parse(/FILES = (\[[^\]]*\])/.exec(source)[1])
  assert.deepEqual(list, [...files].filter((path) => path !== 'service-worker.js').sort())
})

test('the same sources make the same files', async () => {
  const worker = await readFile(join(folder, 'service-worker.js'), 'utf8')
  await buildSite(folder)
  assert.equal(await readFile(join(folder, 'service-worker.js'), 'utf8'), worker)
})

test('a folder with other files is refused, and left as it is', async () => {
  const other = await mkdtemp(join(tmpdir(), 'countersign-other-'))
  await writeFile(join(other, 'mine.txt'), '')
  await assert.rejects(buildSite(other), /holds other files: give an empty folder/)
  assert.deepEqual(await readdir(other), ['mine.txt'])
  await rm(other, { recursive: true })
})

test('anchors are those of code hosts', () => {
  const anchorOf = createAnchors()
  const cases = [['`key_not_found`', 'key_not_found'], ['In [Rust](x.md): why?', 'in-rust-why'], ['Twice', 'twice'], ['Twice', 'twice-1']]
  for (const [heading, anchor] of cases) assert.equal(anchorOf(heading), anchor)
})
