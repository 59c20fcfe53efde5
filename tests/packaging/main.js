// The program of most projects of the matrix. It has no top-level await, which CommonJS does not have.
import * as countersign from 'countersign'
import { address } from './address.js'
import { conform } from './conformance.js'

export const done = conform(countersign, address)
