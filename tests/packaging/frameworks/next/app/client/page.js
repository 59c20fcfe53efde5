'use client'

import * as countersign from 'countersign'
import { useEffect } from 'react'
import { address } from '../../address.js'
import { conform } from '../../conformance.js'

export default function Page() {
  useEffect(() => void conform(countersign, address), [])
  return <p>A page</p>
}
