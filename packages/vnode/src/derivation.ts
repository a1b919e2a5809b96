import type { RecordHead, StoredRecord } from '@atoll/causality'
import type { KeyId } from '@atoll/core'
import type { ChangeLog } from './change-log.ts'
import { type CountStep, storedCounts } from './counts.ts'
import { type IndexMeans, indexOperations } from './index-entry.ts'
import type { VnodeLayout } from './layout.ts'
import type { Operation } from './ports.ts'

/**
 * Where a change comes from: a client's write, another replica of the same cluster (its copy of a write, a repair), a
 * handoff (transfers, refills, hints, what is given back), or the cluster of that id.
 */
export type Origin = 'client' | 'replica' | 'handoff' | `cluster:${string}`

/** A change of one record, as it goes to the disk. */
export interface RecordChange {
  readonly id: KeyId
  /** The whole key of the record. */
  readonly key: Uint8Array
  /** The text of `key`. */
  readonly name: string
  /** Its head. Undefined if there was nothing, or if nobody knows what there was: see `isLost`. */
  readonly before: RecordHead | undefined
  /** Undefined if the record is removed. */
  readonly after: StoredRecord | undefined
  /** True if there was something that cannot be read any more. */
  readonly isLost: boolean
  readonly origin: Origin
  /** Whether this vnode gave the write its dot. */
  readonly coordinated: boolean
}

/** The vnode of which a record changes. */
export interface ChangingVnode {
  readonly layout: VnodeLayout
  /** Where changes are noted, while the vnode is copied to another node. */
  readonly changes: ChangeLog | undefined
}

/** What is written together with a record, in one batch. */
export interface Derived {
  readonly operations: Operation[]
  readonly steps: CountStep[]
}

/**
 * Says what is written together with a change. It reads nothing but what it is given, and does nothing but add to
 * `derived`. A host asks all of its derivations for every change of a record, removals among them.
 */
export type Derivation = (change: RecordChange, vnode: ChangingVnode, derived: Derived) => void

/** What index entries are made with. */
export type Indexing = Pick<IndexMeans, 'crc32' | 'sha1' | 'sliceOf'>

export interface DerivationMeans {
  readonly indexing: Indexing
  /** Partitions of which index entries may lie in a range of their own. */
  readonly ownIndexes: ReadonlySet<number>
}

/** The derivations of a host, fixed when it is opened. */
export function derivationsOf(means: DerivationMeans): readonly Derivation[] {
  return [indexEntries(means), noteOfHandoff, storedCounts]
}

function indexEntries({ ownIndexes, indexing: { crc32, sha1, sliceOf } }: DerivationMeans): Derivation {
  return (change, { layout }, { operations }) => {
    const means = { layout, hasOwn: ownIndexes.has(layout.partition), crc32, sha1, sliceOf }
    for (const operation of indexOperations(change, means)) operations.push(operation)
  }
}

/** That a transfer in progress has still to send the record. What was removed is safe where it goes. */
const noteOfHandoff: Derivation = ({ key, name, after }, { changes }, { operations }) => {
  if (changes !== undefined && after !== undefined) operations.push(changes.note(key, name))
}
