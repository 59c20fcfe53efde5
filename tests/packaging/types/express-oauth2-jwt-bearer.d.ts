// The declarations of express-oauth2-jwt-bearer 1.10 that matter here.
declare module 'express-oauth2-jwt-bearer' {
  interface VerifyJwtResult {
    header: { alg?: string }
    payload: { sub?: string }
    token: string
  }
  global {
    namespace Express {
      interface Request {
        auth?: VerifyJwtResult
      }
    }
  }
  export { VerifyJwtResult as AuthResult }
}
