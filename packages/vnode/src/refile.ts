import { mergeRecords, type StoredRecord } from '@atoll/causality'
import { type KeyId, MiB, type Runtime } from '@atoll/core'
import { partitionOf } from '@atoll/ring'
import type { Committer } from './committer.ts'
import type { CountStep } from './counts.ts'
import type { Derivation, Derived, RecordChange } from './derivation.ts'
import { foldRecords } from './fold.ts'
import { keyText } from './keys.ts'
import { VnodeLayout } from './layout.ts'
import type { Database, Operation } from './ports.ts'
import { recordDeletes, recordPuts } from './record-puts.ts'
import type { RecordReader } from './record-reader.ts'

export interface RefileParts {
  readonly runtime: Runtime
  readonly database: Database
  readonly reader: RecordReader
  readonly partitions: number
  readonly committer: Committer
  readonly derivations: readonly Derivation[]
  /** Values of more bytes lie apart from their head. */
  readonly inlineBytes: number
  /** Partitions of which heads may lie where builds before have put them. */
  readonly olderHeads: ReadonlySet<number>
  readonly signal?: AbortSignal | undefined
}

/** Bytes of values in one batch, about. */
const BATCH_BYTES = 4 * MiB

/**
 * Brings every record to the vnode of its own partition: when the ring has got more partitions, and once after the first
 * format, which filed a replica under the partition whose owner kept it. A record with its index entries moves in one batch:
 * what was interrupted goes on when the database is opened again. A damaged record stays where it is.
 */
export async function refile(parts: RefileParts): Promise<void> {
  const { committer, database, olderHeads, reader, partitions, runtime, signal } = parts
  const startMs = runtime.clock.monotonicMs()
  let moved = 0
  for (let partition = 0; partition < partitions; partition++) {
    const batch = new Batch(committer)
    for await (const { id, record } of foldRecords(new VnodeLayout(partition), {
      database,
      reader,
      hasOlder: olderHeads.has(partition),
      signal,
    })) {
      const home = partitionOf(id, partitions, runtime.digest.sha1)
      if (home === partition) continue
      moved += 1
      runtime.metrics.count('atoll_vnode_refiled_records_total')
      await batch.add(await moving(parts, { id, record, from: partition, to: home }))
    }
    await batch.flush()
  }
  const tookMs = Math.round(runtime.clock.monotonicMs() - startMs)
  if (moved > 0)
    runtime.log.info(
      { records: moved, partitions, tookMs },
      'records were filed anew, by the partitions of their keys',
    )
}

interface Moving {
  readonly id: KeyId
  readonly record: StoredRecord
  readonly from: number
  readonly to: number
}

async function moving(parts: RefileParts, { id, record, from, to }: Moving): Promise<Derived> {
  const [source, target] = [new VnodeLayout(from), new VnodeLayout(to)]
  const [key, gone] = [target.dataKey(id), source.dataKey(id)]
  const [{ record: there, corrupt }, before, left] = await Promise.all([
    parts.reader.peek(key),
    parts.reader.head(key),
    parts.reader.head(gone),
  ])
  const after = there === undefined ? record : mergeRecords({ kind: 'siblings' }, there, record)
  const isLost = corrupt && there === undefined
  const derived: Derived = { operations: [...recordDeletes(gone, left)], steps: [] }
  const goes = { id, key: gone, before: record, after: undefined, isLost: false }
  deriveOf(parts, source, { part: goes, derived })
  derived.operations.push(...recordPuts({ key, record: after, before }, parts).operations)
  deriveOf(parts, target, { part: { id, key, before: there, after, isLost }, derived })
  return derived
}

/** Nothing is served meanwhile, so no vnode is copied either. */
function deriveOf(
  { derivations }: RefileParts,
  layout: VnodeLayout,
  {
    part,
    derived,
  }: { readonly part: Omit<RecordChange, 'name' | 'origin' | 'coordinated'>; readonly derived: Derived },
): void {
  const change = { ...part, name: keyText(part.key), origin: 'handoff', coordinated: false } as const
  for (const derivation of derivations) derivation(change, { layout, changes: undefined }, derived)
}

/** What is written together, a few records at a time. */
class Batch {
  readonly #committer: Committer
  #operations: Operation[] = []
  #steps: CountStep[] = []
  #bytes = 0

  constructor(committer: Committer) {
    this.#committer = committer
  }

  async add({ operations, steps }: Derived): Promise<void> {
    this.#operations.push(...operations)
    this.#steps.push(...steps)
    for (const operation of operations) if (operation.type === 'put') this.#bytes += operation.value.length
    if (this.#bytes >= BATCH_BYTES) await this.flush()
  }

  async flush(): Promise<void> {
    if (this.#operations.length === 0) return
    await this.#committer.commit(this.#operations, this.#steps)
    this.#operations = []
    this.#steps = []
    this.#bytes = 0
  }
}
