import { isFramed, policyOf } from './policy.js'

/** The navigation: the path and the name of each page in it. */
const NAVIGATION = [
  { path: 'index.html', name: 'Try' },
  { path: 'refusals.html', name: 'Refusals' },
  { path: 'inspect.html', name: 'Inspect' },
  { path: 'race.html', name: 'Race' },
  { path: 'keys.html', name: 'Keys' },
  { path: 'sessions.html', name: 'Sessions' },
  { path: 'account.html', name: 'Account' },
  { path: 'docs/index.html', name: 'Docs' },
]

/** Where a page shows the card of the login, which `page/login-form.js` wires. */
const LOGIN_MARK = '<!-- login -->'

const LOGIN = `<section class="card login" data-when="out" aria-labelledby="login-title">
    <h2 id="login-title">Log in</h2>
    <p>The demo user is filled in: <strong id="demo-username">…</strong> with the password <code id="demo-password">…</code></p>
    <form id="login-form">
      <label for="username">User name</label>
      <input id="username" name="username" autocomplete="username webauthn" autocapitalize="none" spellcheck="false" required>
      <label for="password">Password</label>
      <input id="password" name="password" type="password" autocomplete="current-password" required>
      <div class="buttons">
        <button type="submit" class="primary" id="login">Log in</button>
        <button type="button" id="login-passkey">Log in with a passkey</button>
      </div>
    </form>
  </section>`

/** Returns the navigation between these pages. */
export function navigation(pages) {
  return NAVIGATION.filter(({ path }) => pages.has(path))
}

/**
 * Puts a page into the frame that all pages share: the head, the navigation and the foot.
 *
 * @param {object} page
 * @param {string} page.path its path from the root of the site
 * @param {string} page.source its `<title>`, other elements of its head, and then `<main>`; links are relative to the page, and
 *   `<!-- login -->` stands for the card of the login
 * @param {{ path: string, name: string }[]} links the navigation
 * @param {boolean} isDemo true if the demo's server sends the page. Any other site works offline, and has its policy in the page
 */
export function layOut({ path, source }, links, isDemo) {
  const root = '../'.repeat(path.split('/').length - 1)
  const start = source.indexOf('<main')
  if (start < 0) throw new Error(`${path} has no <main>`)
  const [head, main] = [source.slice(0, start).trim(), source.slice(start).trim().replace(LOGIN_MARK, LOGIN)]
  const policy = isDemo ? '' : `\n  <meta http-equiv="Content-Security-Policy" content="${policyOf(path)}">`
  const offline = isDemo || isFramed(path) ? '' : `\n  <script type="module" src="${root}offline.js"></script>`
  return `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">${policy}
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <meta name="referrer" content="no-referrer">
  <link rel="icon" href="${root}favicon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="${root}style.css">
  ${head.replaceAll('\n', '\n  ')}${offline}
</head>
<body>
  ${isFramed(path) ? main : withNavigation(main, links, path, root)}
</body>
</html>
`
}

/** Puts the navigation above a page's content, and the foot below it. */
function withNavigation(main, links, path, root) {
  return `<a class="skip" href="#content">Skip to the content</a>
  <header class="masthead">
    <a class="brand" href="${root || './'}"><img src="${root}favicon.svg" alt="" width="32" height="32">Countersign</a>
    <nav aria-label="Pages">
      <ul>${links.map((link) => `\n        ${item(link, path, root)}`).join('')}
      </ul>
    </nav>
  </header>
  ${main}
  <footer class="foot">
    <p>Each verdict here is computed in this tab. <span id="offline" role="status"></span></p>
  </footer>`
}

function item({ path, name }, current, root) {
  const isHere = path === current || (path.startsWith('docs/') && current.startsWith('docs/'))
  return `<li><a href="${`${root}${path.replace(/index\.html$/, '')}` || './'}"${isHere ? ' aria-current="page"' : ''}>${name}</a></li>`
}
