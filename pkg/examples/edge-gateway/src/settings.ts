import { readCors, type Cors } from './cors.js'
import { Keys, type KeySettings } from './keys.js'
import { readRoutes, type RouteTable } from './routes.js'
import { readOrigin, refuseSetting } from './setting.js'

/** The variables and secrets of the Worker, as they are configured. */
export interface Env extends KeySettings {
  ORIGIN: string
  ROUTES: unknown
  CORS?: unknown
  SIGNING_KEY?: string
}

/** The settings, checked. */
export interface Settings {
  readonly origin: string
  readonly routes: RouteTable
  readonly keys: Keys
  readonly cors: Cors
  /** The secret that the gateway shares with the origin, if requests are signed. */
  readonly signingKey: string | undefined
}

/** @throws {@link SettingError} */
export function readSettings(env: Env): Settings {
  return {
    origin: readOrigin(env.ORIGIN, 'ORIGIN'),
    routes: readRoutes(env.ROUTES),
    keys: new Keys(env),
    cors: readCors(env.CORS),
    signingKey: readSigningKey(env.SIGNING_KEY),
  }
}

function readSigningKey(value: unknown): string | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string' || value.length < 32) throw refuseSetting('SIGNING_KEY', 'a secret of 32 characters or more')
  return value
}
