// What an import of the module `with { type: 'file' }` gives in Bun: its path.
declare const path: string
export default path
