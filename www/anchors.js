/**
 * Makes the anchors of a document's headings, as code hosts do: repeated ones are numbered.
 *
 * @returns {(heading: string) => string} takes the Markdown of the headings, one after the other
 */
export function createAnchors() {
  const seen = new Map()
  return (heading) => {
    const text = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('`', '').trim().toLowerCase()
    const slug = text.replaceAll(/[^\p{L}\p{N}_ -]/gu, '').replaceAll(' ', '-')
    const count = seen.get(slug) ?? 0
    seen.set(slug, count + 1)
    return count === 0 ? slug : `${slug}-${count}`
  }
}
