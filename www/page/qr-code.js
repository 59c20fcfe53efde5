import encodeQR from 'qr'
import { svg } from './dom.js'

/** The light frame that readers need, in modules. */
const QUIET = 4

/** Draws a text as a QR code, in this page: the secret in it goes nowhere. */
export function qrCode(text, label) {
  const rows = encodeQR(text, 'raw', { border: QUIET })
  const size = rows.length
  const dark = rows.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : ''))).join('')
  const attributes = { viewBox: `0 0 ${size} ${size}`, role: 'img', 'aria-label': label, 'shape-rendering': 'crispEdges' }
  return svg('svg.qr', attributes, svg('rect.light', { width: size, height: size }), svg('path.dark', { d: dark }))
}
