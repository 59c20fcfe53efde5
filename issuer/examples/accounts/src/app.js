// The application's HTTP server: its API, its page, and the mailbox.
import { createServer } from 'node:http'
import { guard } from 'countersign/express'
import { checkEmail, readBody } from './input.js'
import { createLimit, networkOf } from './limit.js'
import { createNotes } from './notes.js'
import { createPages } from './pages.js'
import { mailboxPage } from './mailbox-page.js'
import { Refusal } from './refusal.js'

/** The mails that requests may ask for in ten minutes: of one network, to one address, and altogether. */
const MAILS = { network: 10, address: 3, all: 300 }
const MAILS_SECONDS = 600

/** An account may be deleted so many seconds after the user has shown who they are. */
const FRESH_SECONDS = 300

/**
 * Makes the server. The caller makes it listen and closes it.
 *
 * @param {{ settings: ReturnType<import('./settings.js').readSettings>, accounts: object, mailbox: object,
 *   verifier: import('countersign').Verifier }} parts
 * @returns {Promise<import('node:http').Server>}
 */
export async function createApp({ settings, accounts, mailbox, verifier }) {
  const { origin, issuer } = settings
  const pages = await createPages(settings)
  const notes = createNotes()
  const limit = (requests) => createLimit({ requests, seconds: MAILS_SECONDS })
  const limits = { network: limit(MAILS.network), address: limit(MAILS.address), all: limit(MAILS.all) }

  /** Reads the address of a mail, and counts the mail. Returns undefined if the address got enough mails. */
  async function addressOfMail(request) {
    const { email } = await readBody(request, ['email'])
    const address = checkEmail(email)
    const wait = limits.network.take(networkOf(request.socket.remoteAddress)) || limits.all.take('')
    if (wait > 0) throw new Refusal(429, 'too_many_requests', `That was too often. Please try again in ${wait} seconds.`, { 'retry-after': String(wait) })
    // The answer is the same, so that it does not tell who has asked for this address.
    return limits.address.take(address.toLowerCase()) > 0 ? undefined : address
  }

  const protect = guard(verifier, { scope: 'note' })
  /** Returns a handler that gets the claims of the request's access token. The guard answers requests without a good one. */
  const signedIn = (handler) => (request, response) => new Promise((resolve, reject) => {
    response.once('close', resolve)
    protect(request, response, (error) => {
      if (error) reject(error)
      else handler(request, response, request.auth.claims).then(resolve, reject)
    })
  })

  const routes = {
    '/config.json': {
      GET: (_request, response) => sendJson(response, 200, { issuer }),
    },
    '/api/register': {
      async POST(request, response) {
        const address = await addressOfMail(request)
        if (address !== undefined) await accounts.register(address)
        sendJson(response, 202, {})
      },
    },
    '/api/password-reset': {
      async POST(request, response) {
        const address = await addressOfMail(request)
        if (address !== undefined) await accounts.resetPassword(address)
        sendJson(response, 202, {})
      },
    },
    '/api/note': {
      GET: signedIn(async (_request, response, { sub }) => sendJson(response, 200, { text: notes.get(sub) })),
      PUT: signedIn(async (request, response, { sub }) => {
        const { text } = await readBody(request, ['text'])
        notes.set(sub, text)
        sendJson(response, 200, { text })
      }),
    },
    '/api/account': {
      DELETE: signedIn(async (_request, response, { sub, auth_time: authenticated = 0 }) => {
        // RFC 9470: the page asks the user again, and then sends the request with a new token.
        if (authenticated < Date.now() / 1000 - FRESH_SECONDS) {
          const challenge = `Bearer error="insufficient_user_authentication", max_age="${FRESH_SECONDS}"`
          throw new Refusal(401, 'insufficient_user_authentication', 'Please confirm that it is you.', { 'www-authenticate': challenge })
        }
        await accounts.remove(sub)
        notes.remove(sub)
        response.writeHead(204, { 'cache-control': 'no-store' }).end()
      }),
    },
    '/mailbox': {
      GET: (_request, response) => sendHtml(response, mailboxPage(mailbox.mails())),
    },
  }

  async function answer(request, response) {
    pages.setHeaders(response)
    // Another name could be one that a foreign page has made resolve to this server.
    if (request.headers.host !== new URL(origin).host) throw new Refusal(421, 'misdirected_request', `This application is at ${origin}.`)
    const method = request.method === 'HEAD' ? 'GET' : request.method
    // Browsers send `Origin` with every request but GET and HEAD, and no script can change it.
    if (method !== 'GET' && request.headers.origin !== origin) throw new Refusal(403, 'origin_not_allowed', 'The request comes from another page.')
    const [path] = request.url.split('?')
    const route = Object.hasOwn(routes, path) ? routes[path] : pages.route(path)
    if (route === undefined) throw new Refusal(404, 'not_found', 'There is nothing here.')
    if (!Object.hasOwn(route, method)) throw new Refusal(405, 'method_not_allowed', 'This method is not allowed here.', { allow: Object.keys(route).join(', ') })
    await route[method](request, response)
  }

  const server = createServer({ requestTimeout: 15_000, headersTimeout: 10_000 }, (request, response) => {
    answer(request, response).catch((error) => {
      if (response.headersSent) return response.destroy()
      if (!(error instanceof Refusal)) {
        console.error(`accounts: ${error.stack}`)
        error = new Refusal(500, 'server_error', 'Something went wrong here. Please try again later.')
      }
      const { status, headers, message } = error
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
      sendJson(response, status, { error: error.error, error_description: message })
    })
  })
  return server
}

function sendJson(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(JSON.stringify(body))
}

function sendHtml(response, text) {
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' })
  response.end(text)
}
