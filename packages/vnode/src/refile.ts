import { mergeRecords, type StoredRecord } from '@atoll/causality'
import { type KeyId, MiB, type Runtime } from '@atoll/core'
import { partitionOf } from '@atoll/ring'
import { BINARY } from './database.ts'
import type { Change, Derivation } from './derivation.ts'
import { encodeEnvelope } from './envelope.ts'
import { foldRecords } from './fold.ts'
import { keyText } from './keys.ts'
import { VnodeLayout } from './layout.ts'
import type { Database, Operation } from './ports.ts'
import type { RecordReader } from './record-reader.ts'

export interface RefileParts {
  readonly runtime: Runtime
  readonly database: Database
  readonly reader: RecordReader
  readonly partitions: number
  readonly derivations: readonly Derivation[]
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
  const { database, reader, partitions, runtime, signal } = parts
  const startMs = runtime.clock.monotonicMs()
  let moved = 0
  for (let partition = 0; partition < partitions; partition++) {
    const batch = new Batch(database)
    for await (const { id, record } of foldRecords(new VnodeLayout(partition), {
      database,
      reader,
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

async function moving(parts: RefileParts, { id, record, from, to }: Moving): Promise<readonly Operation[]> {
  const [source, target] = [new VnodeLayout(from), new VnodeLayout(to)]
  const key = target.dataKey(id)
  const { record: there, corrupt } = await parts.reader.peek(key)
  const after = there === undefined ? record : mergeRecords({ kind: 'siblings' }, there, record)
  const value = encodeEnvelope(key, after, parts.runtime.digest.crc32)
  const [gone, come] = [source.dataKey(id), key]
  return [
    { type: 'del', key: gone },
    ...derivedOf(parts, source, { id, key: gone, before: record, after: undefined, isLost: false }),
    { type: 'put', key: come, value },
    ...derivedOf(parts, target, { id, key, before: there, after, isLost: corrupt && there === undefined }),
  ]
}

/** Nothing is served meanwhile, so no vnode is copied either. */
function derivedOf(
  { derivations }: RefileParts,
  layout: VnodeLayout,
  part: Omit<Change, 'name' | 'origin' | 'coordinated'>,
): readonly Operation[] {
  const change = { ...part, name: keyText(part.key), origin: 'handoff', coordinated: false } as const
  const derived = { operations: [] }
  for (const derivation of derivations) derivation(change, { layout, changes: undefined }, derived)
  return derived.operations
}

/** Operations that are written together, a few records at a time. */
class Batch {
  readonly #database: Database
  #operations: Operation[] = []
  #bytes = 0

  constructor(database: Database) {
    this.#database = database
  }

  async add(operations: readonly Operation[]): Promise<void> {
    this.#operations.push(...operations)
    for (const operation of operations) if (operation.type === 'put') this.#bytes += operation.value.length
    if (this.#bytes >= BATCH_BYTES) await this.flush()
  }

  async flush(): Promise<void> {
    if (this.#operations.length === 0) return
    await this.#database.batch(this.#operations, { ...BINARY, sync: true })
    this.#operations = []
    this.#bytes = 0
  }
}
