// Compiled, never run: a service that moves over from express-oauth2-jwt-bearer. There, `req.auth` has the type of both.
import type { Verifier } from 'countersign'
import { guard, type Authenticated } from 'countersign/express'
import type { AuthResult } from 'express-oauth2-jwt-bearer'

declare const verifier: Verifier
declare const request: Express.Request & { headers: {} }
declare function use(handler: (req: typeof request, res: { statusCode: number; setHeader(): void; end(): void }, next: (error?: any) => void) => void): void

use(guard(verifier))
const auth: AuthResult | undefined = request.auth
const subject: string | undefined = (request as Authenticated<typeof request>).auth.claims.sub

void [auth, subject]
