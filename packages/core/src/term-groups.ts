import { startsWithBytes } from './bytes.ts'

/** By which terms of an index are put together: those that agree from the prefix up to the first delimiter behind it. */
export interface TermGroups {
  /** Terms that do not begin with it belong to no group. */
  readonly prefix: Uint8Array
  /** One byte at least. */
  readonly delimiter: Uint8Array
}

/** The bytes with which all terms of the group of `term` begin, the delimiter included; undefined if it belongs to none. */
export function groupOf(term: Uint8Array, { prefix, delimiter }: TermGroups): Uint8Array | undefined {
  if (!startsWithBytes(term, prefix)) return undefined
  const [first = 0] = delimiter
  for (let at = term.indexOf(first, prefix.length); at >= 0; at = term.indexOf(first, at + 1)) {
    if (startsWithBytes(term.subarray(at), delimiter)) return term.subarray(0, at + delimiter.length)
  }
  return undefined
}
