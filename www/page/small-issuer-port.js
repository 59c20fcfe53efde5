// Requests to the small issuer through a message port: from a frame to a worker or to the page around it.

/** Answers the requests that come through a port. */
export function serve(port, issuer) {
  port.onmessage = async ({ data: { id, url, body } }) => {
    const response = await (await issuer).fetch(url, { body })
    port.postMessage({ id, status: response.status, body: await response.text() })
  }
}

/** Returns a `fetch` whose requests go through a port. */
export function fetchThrough(port) {
  const pending = new Map()
  let last = 0
  port.onmessage = ({ data: { id, status, body } }) => {
    pending.get(id)?.(new Response(body === '' ? null : body, { status }))
    pending.delete(id)
  }
  return (url, { body = null, signal }) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      last += 1
      pending.set(last, resolve)
      signal?.addEventListener('abort', () => reject(signal.reason))
      port.postMessage({ id: last, url, body: body === null ? '' : String(body) })
    })
}
