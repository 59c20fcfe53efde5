// In Bun, an import of the module `with { type: 'file' }` is its path.
declare const path: string
export default path
