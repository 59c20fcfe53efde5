/** An option that is refused. `words.ts` has the message. */
export class OptionFault {
  /** The part of the name before the option: `jwksOptions.`, or the index of a policy. */
  prefix = ''
  declare readonly kind: 'type' | 'name' | 'range' | 'keys' | 'discovery' | 'order'
  declare readonly name: string
  declare readonly value: unknown
  /** The known names, the bounds of a range, the expected type, the issuers, or the cause. */
  declare readonly other: unknown

  constructor(kind: OptionFault['kind'], name: string, value: unknown, other?: unknown) {
    Object.assign(this, { kind, name, value, other })
  }
}
