// Browsers that load the package's own files, without a bundler.
import { html, REPORT, reporting, served, strictPolicy, untilResult } from '../pages.js'
import { inProject, mainOf } from '../project.js'

const ENTRY = '/node_modules/countersign/dist/browser.js'

const IMPORT_MAP = `<script type="importmap">{ "imports": { "countersign": "${ENTRY}" } }</script>`

// An import map is an inline script, which a strict policy blocks.
const BY_PATH = mainOf(ENTRY)

export default Object.entries({ chromium: 'Chromium', firefox: 'Firefox', webkit: 'WebKitGTK' }).flatMap(([browser, name]) => [
  page({ browser, name: `${name}, import map`, scripts: `${IMPORT_MAP}\n<script type="module" src="/main.js"></script>` }),
  page({ browser, name: `${name}, strict Content-Security-Policy`, scripts: '<script type="module" src="/by-path.js"></script>', strict: true }),
])

function page({ browser, name, scripts, strict = false }) {
  return {
    name,
    needs: [browser],
    async run({ tarball, address, result, pagePort: port }) {
      const index = reporting(html(scripts), address)
      const files = { 'index.html': index, 'report.js': REPORT, 'by-path.js': BY_PATH }
      const policy = strict ? await strictPolicy(address, index) : undefined
      const version = await inProject({ tarball, address, files }, (folder) =>
        served({ folder, port, policy }, (url) => untilResult(browser, url, result)),
      )
      return { version, loads: 'fetches the file' }
    },
  }
}
