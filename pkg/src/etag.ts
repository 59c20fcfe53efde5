/** Returns the entity tag (RFC 9110 §8.8.3) if it can be sent back. */
export function readEtag(value: unknown): string | undefined {
  return typeof value === 'string' && /^(?:W\/)?"[!#-~]{0,256}"$/.test(value) ? value : undefined
}
