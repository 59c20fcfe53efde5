/** A refused request: its status code, an error code for programs, and a sentence for people. */
export class Refusal extends Error {
  constructor(status, error, description, headers = {}) {
    super(description)
    this.status = status
    this.error = error
    this.headers = headers
  }
}
