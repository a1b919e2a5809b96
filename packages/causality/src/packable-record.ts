import { equalBytes } from '@atoll/core'
import {
  type RecordHead,
  type RecordOf,
  type Sibling,
  type SiblingHead,
  type StoredRecord,
  siblingOf,
  type VersionVector,
} from './record.ts'

/**
 * A record that remembers its head once it was packed or unpacked: on its way through the nodes it is packed for the
 * disk, for each message and for the next disk, and it never changes. A copy made by spreading is a plain record.
 */
export class PackableRecord<S extends SiblingHead = Sibling> implements RecordOf<S> {
  readonly clock: VersionVector
  readonly siblings: readonly S[]
  #head: Uint8Array | undefined

  constructor(clock: VersionVector, siblings: readonly S[], head?: Uint8Array) {
    this.clock = clock
    this.siblings = siblings
    this.#head = head
  }

  /** The same record, with a copy of each value. */
  static copyOf(record: StoredRecord): StoredRecord {
    const siblings = record.siblings.map((sibling) => siblingOf(new Uint8Array(sibling.value), sibling))
    return new PackableRecord(record.clock, siblings, #head in record ? record.#head : undefined)
  }

  /** Whether both are known to have the same head, by which they are the same record but for the bytes of values. */
  static haveOneHead(a: RecordHead, b: RecordHead): boolean {
    if (!(#head in a) || !(#head in b) || a.#head === undefined || b.#head === undefined) return false
    return equalBytes(a.#head, b.#head)
  }

  /** The head of `record`, made by `pack` unless it is known. */
  static headOf(record: RecordHead, pack: (record: RecordHead) => Uint8Array): Uint8Array {
    if (!(#head in record)) return pack(record)
    record.#head ??= pack(record)
    return record.#head
  }
}
