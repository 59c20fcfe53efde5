/**
 * Freezes a value from `JSON.parse` and everything inside it.
 *
 * Keeps its own stack: `JSON.parse` nests as deep as its input says, the call stack does not.
 */
export function deepFreeze<T>(root: T): T {
  const pending: unknown[] = [root]
  while (pending.length > 0) {
    const value = pending.pop()
    if (typeof value !== 'object' || value === null) continue
    Object.freeze(value)
    for (const member of Object.values(value)) pending.push(member)
  }
  return root
}
