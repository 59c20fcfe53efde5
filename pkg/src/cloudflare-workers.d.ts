// The part of the runtime's module that is used here. Older runtimes lack the function.
declare module 'cloudflare:workers' {
  export const waitUntil: ((promise: Promise<unknown>) => void) | undefined
}
