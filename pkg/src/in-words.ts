/** Puts a fault into words. They are in a script of their own. Returns other words if it cannot be loaded, as in an outage. */
export function inWords(say: (words: typeof import('./words.js')) => string): Promise<string> {
  return import('./words.js').then(say, () => 'is refused; the reason was not loaded')
}
