/**
 * Returns true if the engine has relaxed SIMD: if it accepts a module with `f64x2.relaxed_madd`. The module itself tests
 * whether the engine fuses multiply-add, before it uses the fast kernel.
 */
export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(PROBE)
}

const PROBE = Uint8Array.of(
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, // magic and version
  0x01, 0x04, 0x01, 0x60, 0x00, 0x00, // one type: () -> ()
  0x03, 0x02, 0x01, 0x00, // one function, of that type
  0x0a, 0x10, 0x01, 0x0e, 0x01, 0x01, 0x7b, // its body, with one local of type v128
  0x20, 0x00, 0x20, 0x00, 0x20, 0x00, // local.get 0, three times
  0xfd, 0x87, 0x02, // f64x2.relaxed_madd
  0x1a, 0x0b, // drop, end
)
