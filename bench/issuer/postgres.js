// PostgreSQL for the benchmarks, which do without if it is not installed.
import { startPostgres } from '../../tests/js/support/postgres.js'

/** Starts a server, unless there is none: `cargo xtask bench` names its folder. */
export async function startPostgresIfThere(masterKey) {
  if (process.env.COUNTERSIGN_POSTGRES) return startPostgres(masterKey)
  console.log('  PostgreSQL is left out: it is not installed (Debian: the package postgresql)')
}
