/** A fault of the command line, or of a file that it names. The message is one line and contains no token. */
export class UsageError extends Error {}
