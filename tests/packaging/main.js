// The program of most projects of the matrix.
import * as countersign from 'countersign'
import { address } from './address.js'
import { conform } from './conformance.js'

await conform(countersign, address)
