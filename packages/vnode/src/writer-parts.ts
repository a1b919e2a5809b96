import type { Runtime } from '@atoll/core'
import type { ClockWatch } from './clock-watch.ts'
import type { Committer } from './committer.ts'
import type { Derivation, Indexing } from './derivation.ts'
import type { HeadDigests } from './head-digests.ts'
import type { Hints } from './hints.ts'
import type { Lineage } from './incarnation.ts'
import type { KeyOrder } from './key-order.ts'
import type { Database } from './ports.ts'
import type { RecordReader } from './record-reader.ts'
import type { Sheets } from './sheets.ts'

/** What the writers of all vnodes of a host share. */
export interface WriterParts {
  readonly runtime: Runtime
  readonly database: Database
  readonly reader: RecordReader
  readonly committer: Committer
  readonly order: KeyOrder
  readonly digests: HeadDigests
  readonly hints: Hints
  readonly clocks: ClockWatch
  readonly recordBytes: number
  /** Values of more bytes lie apart from their head. */
  readonly inlineBytes: number
  /** Where small records are put together; undefined for a database that keeps the bytes that it is given. */
  readonly sheets: Sheets | undefined
  /** What is written together with every change of a record. */
  readonly derivations: () => readonly Derivation[]
  readonly indexing: Indexing
  /** Partitions of which index entries may lie in a range of their own. */
  readonly ownIndexes: ReadonlySet<number>
  /** Partitions of which heads may lie where builds before have put them. */
  readonly olderHeads: ReadonlySet<number>
  /** Asked when a vnode gives its first dot. */
  readonly lineage: () => Lineage
}
