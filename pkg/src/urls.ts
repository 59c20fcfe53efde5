/** Returns true if a text is a URL that may be fetched. */
export function isFetchable(text: string, allowHttp: boolean, allowLoopback = true): boolean {
  try {
    const { protocol, hostname, username, password } = new URL(text)
    const isAllowed = protocol === 'https:' || (protocol === 'http:' && (allowHttp || (allowLoopback && isLoopback(hostname))))
    // `fetch` takes no user name.
    return isAllowed && username + password === ''
  } catch {
    return false
  }
}

/** RFC 6761 §6.3 and RFC 1122 §3.2.1.3; `URL` has normalized the address. */
function isLoopback(host: string): boolean {
  return /^(?:(?:.+\.)?localhost\.?|\[::1\]|127\.\d+\.\d+\.\d+)$/.test(host)
}
