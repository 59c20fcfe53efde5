import { byId } from './dom.js'

// Keeps all files of the site in the browser, so that each page works without a network from the first visit on. Only a site of
// static files has this script: the demo's pages need their issuer anyway.
if ('serviceWorker' in navigator) {
  // The worker is at the root of the site, beside this script.
  const { active } = await navigator.serviceWorker.register(new URL('service-worker.js', import.meta.url)).then(() => navigator.serviceWorker.ready)
  if (active !== null) byId('offline').textContent = 'All pages are saved in this browser, and work without a network.'
}
