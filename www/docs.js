// The documents of the repository as pages of the site: those of docs/README.md, the one table of contents, in its order.

import { readFile } from 'node:fs/promises'
import { posix } from 'node:path'
import MarkdownIt from 'markdown-it'
import { createAnchors } from './anchors.js'

const ROOT = new URL('../', import.meta.url)
const CONTENTS = 'docs/README.md'
const OVERVIEW = { path: 'README.md', name: 'Overview' }

/** Descriptions of pages, for search engines, have at most this many characters. */
const DESCRIPTION = 160

/**
 * Lists the pages of the documents and their pictures.
 *
 * @returns {Promise<{ pages: Map<string, () => Promise<string>>, pictures: Map<string, URL> }>} by their paths in the site: functions
 *   that make the source of a page as `layOut` takes it, and the files of pictures
 */
export async function documentPages() {
  const sections = contents(await read(CONTENTS))
  const paths = [...new Set(sections.flatMap(({ documents }) => documents.map(({ path }) => path)))]
  const pages = new Map()
  const pictures = new Map()
  for (const path of paths) {
    const text = await read(path)
    pages.set(pageOf(path), async () => pageSource(path, await read(path), sections, new Set(paths)))
    for (const picture of picturesOf(text)) {
      const file = posix.join(posix.dirname(path), picture)
      pictures.set(pictureOf(file), new URL(file, ROOT))
    }
  }
  return { pages, pictures }
}

/** Returns the path of a document's page: `docs/verify.md` is `docs/verify.html`, and `pkg/README.md` `docs/pkg/index.html`. */
export function pageOf(path) {
  if (path === OVERVIEW.path) return 'docs/overview.html'
  return `docs/${path.replace(/^docs\//, '').toLowerCase().replace(/(^|\/)readme\.md$/, '$1index.md').replace(/md$/, 'html')}`
}

/** Returns the path of a picture in the site. */
function pictureOf(path) {
  return `docs/${path.replace(/^docs\//, '')}`
}

/**
 * Reads the table of contents.
 *
 * @returns {{ title: string, documents: { path: string, name: string }[] }[]} each document once, paths from the repository's root
 */
function contents(text) {
  const listed = new Set()
  const sections = text.split(/^## /m).slice(1).map((section) => {
    const documents = [...section.matchAll(/\[([^\]]+)\]\(([^)#]+\.md)\)/g)].map(([, name, link]) => {
      return { path: posix.join('docs', link), name: capitalise(name.replaceAll('`', '')) }
    })
    return { title: section.slice(0, section.indexOf('\n')), documents: documents.filter(({ path }) => !listed.has(path) && listed.add(path)) }
  })
  return [{ title: 'Documentation', documents: [{ path: CONTENTS, name: 'Contents' }, OVERVIEW] }, ...sections]
}

function pageSource(path, text, sections, published) {
  const { html, title, description, headings } = render(path, text, published)
  const root = '../'.repeat(pageOf(path).split('/').length - 1)
  return `<title>${escape(title)} – Countersign</title>
<meta name="description" content="${escape(description)}">
<link rel="stylesheet" href="${root}docs.css">

<main id="content" class="docs">
  <p class="to-contents"><a href="#contents">All documents</a></p>
  <article>
${html}  </article>
  <nav id="contents" aria-label="Documents">
${sections.map((section) => sectionOf(section, path, headings)).join('\n')}
  </nav>
</main>
`
}

/** Returns a section of the list of documents. The one on the page has its headings below it. */
function sectionOf({ title, documents }, current, headings) {
  const items = documents.map(({ path, name }) => {
    const isHere = path === current
    const link = `<a href="${relative(pageOf(current), pageOf(path))}"${isHere ? ' aria-current="page"' : ''}>${escape(name)}</a>`
    return `<li>${link}${isHere ? list(headings.map(({ anchor, name }) => `<li><a href="#${anchor}">${name}</a></li>`)) : ''}</li>`
  })
  return `    <h2>${escape(title)}</h2>\n    ${list(items)}`
}

function list(items) {
  return items.length === 0 ? '' : `<ul>${items.join('')}</ul>`
}

/** Renders a document. `headings` are those of its second level. */
function render(path, text, published) {
  const markdown = new MarkdownIt({ html: true })
  const tokens = markdown.parse(text.replaceAll(/^ *<!--[^]*?-->\n/gm, ''), {})
  const anchorOf = createAnchors()
  const headings = []
  let title = ''
  let description = ''
  for (const [index, token] of tokens.entries()) {
    const inline = tokens[index + 1]
    if (token.type === 'heading_open') {
      const anchor = anchorOf(inline.content)
      token.attrSet('id', anchor)
      if (token.tag === 'h1') title = plain(inline)
      if (token.tag === 'h2') headings.push({ anchor, name: escape(plain(inline)) })
    }
    if (token.type === 'paragraph_open' && description === '' && headings.length === 0) description = shorten(plain(inline))
    // A heading of a column that says nothing is none.
    if (token.type === 'th_open' && inline.content === '') token.tag = tokens[index + 2].tag = 'td'
    if (token.type === 'inline') resolveLinks(token.children, path, published)
    if (token.type === 'html_block') token.content = resolvePictures(token.content, path)
  }
  Object.assign(markdown.renderer.rules, SCROLLING)
  const html = markdown.renderer.render(tokens, markdown.options, {})
  return { html, title, description: description || `${title} of Countersign`, headings }
}

/** Wide tables and code scroll by themselves, so the keyboard must reach them. */
const SCROLLING = {
  table_open: () => '<div class="scroll" role="group" aria-label="Table" tabindex="0"><table>\n',
  table_close: () => '</table></div>\n',
  fence: (tokens, index) => `<pre tabindex="0"><code>${escape(tokens[index].content)}</code></pre>\n`,
}

/** Leads links to other documents to their pages. A link to another file of the repository becomes text: the site lacks the file. */
function resolveLinks(tokens, path, published) {
  const open = []
  for (const token of tokens) {
    if (token.type === 'image') token.attrSet('src', pictureUrl(token.attrGet('src'), path))
    if (token.type === 'link_open') open.push(token)
    if (token.type === 'link_open' && !/^[a-z]+:|^#/.test(token.attrGet('href'))) {
      const [link, anchor] = token.attrGet('href').split('#')
      const target = posix.join(posix.dirname(path), link)
      if (published.has(target)) token.attrSet('href', `${relative(pageOf(path), pageOf(target))}${anchor === undefined ? '' : `#${anchor}`}`)
      else Object.assign(token, { tag: 'span', attrs: [['class', 'file'], ['title', `${target} in the repository`]] })
    }
    if (token.type === 'link_close') token.tag = open.pop().tag
  }
}

function resolvePictures(html, path) {
  return html.replaceAll(/\b(src|srcset)="([^"]+)"/g, (_, name, link) => `${name}="${pictureUrl(link, path)}"`)
}

function pictureUrl(link, path) {
  return relative(pageOf(path), pictureOf(posix.join(posix.dirname(path), link)))
}

/** Returns the links to pictures of a document. */
function picturesOf(text) {
  const prose = text.replaceAll(/^( *)```.*\n[^]*?^ *```$/gm, '')
  return [...prose.matchAll(/!\[[^\]]*\]\(([^)\s]+)\)|\b(?:src|srcset)="([^"]+)"/g)].map(([, link, attribute]) => link ?? attribute)
}

/** Returns the text of a token without its markup. */
function plain({ children }) {
  return children.map(({ type, content }) => (type === 'softbreak' ? ' ' : content)).join('')
}

/** Leaves the names of packages as they are. */
function capitalise(name) {
  return name.includes('-') ? name : name[0].toUpperCase() + name.slice(1)
}

function shorten(text) {
  return text.length <= DESCRIPTION ? text : `${text.slice(0, DESCRIPTION - 1).replace(/\s+\S*$/, '')}…`
}

function relative(from, to) {
  return posix.relative(posix.dirname(from), to)
}

function escape(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

function read(path) {
  return readFile(new URL(path, ROOT), 'utf8')
}
