// Answers every request for a file of the site from a copy of the whole site, so that all pages work offline and are of one
// version. `www/build.js` puts the list of the files and their version before this text.

/* global FILES, VERSION */

const PREFIX = `countersign ${new URL('./', location).pathname} `
const CACHE = `${PREFIX}${VERSION}`

addEventListener('install', (event) => {
  // A copy in the browser's HTTP cache can be older than the list.
  const requests = FILES.map((path) => new Request(new URL(path, location), { cache: 'reload' }))
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(requests)))
})

addEventListener('activate', (event) => event.waitUntil(takeOver()))

addEventListener('fetch', (event) => {
  const { request } = event
  if (request.method === 'GET' && new URL(request.url).origin === location.origin) event.respondWith(answer(request))
})

async function takeOver() {
  const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE)
  await Promise.all(old.map((name) => caches.delete(name)))
  await clients.claim()
}

async function answer(request) {
  const url = new URL(request.url)
  if (url.pathname.endsWith('/')) url.pathname += 'index.html'
  url.search = url.hash = ''
  const cache = await caches.open(CACHE)
  return (await cache.match(url)) ?? fetch(request)
}
