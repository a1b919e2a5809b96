import { Coordinator, type KvWritten } from '@atoll/coordinator'
import type { KeyId } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import { nameOf } from './names.ts'

/** How many primaries had a write on disk when it was acknowledged, and how many a read of that time had to meet. */
export interface Confirmed {
  readonly primaries: number
  /** n - r + 1 of the bucket type: of any r primaries, one of so many has the write. */
  readonly needed: number
}

interface Written {
  readonly name: string
  readonly primaries: number
}

const writes = new WeakMap<Coordinator, Written[]>()

function note(kv: Coordinator, id: KeyId, { primaries }: KvWritten): void {
  const known = writes.get(kv)
  const written = { name: nameOf(id), primaries }
  if (known === undefined) writes.set(kv, [written])
  else known.push(written)
}

/**
 * What layers above the coordinator do not pass on is seen here: the class is seen through, since a node has a new one
 * in each life.
 */
const { put, delete: remove } = Coordinator.prototype
Coordinator.prototype.put = async function (this: Coordinator, id, ...rest) {
  const written = await put.call(this, id, ...rest)
  note(this, id, written)
  return written
}
Coordinator.prototype.delete = async function (this: Coordinator, id, ...rest) {
  const written = await remove.call(this, id, ...rest)
  note(this, id, written)
  return written
}

/** Runs a write of one record through a node, and answers how it was confirmed. Of several writes the weakest counts. */
export async function confirming<T>(
  { kv, bucketTypes }: AtollNode,
  id: KeyId,
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly confirmed: Confirmed }> {
  const { n, r } = bucketTypes.get(id.type)
  const before = writes.get(kv)?.length ?? 0
  const result = await run()
  const own = (writes.get(kv) ?? []).slice(before).filter(({ name }) => name === nameOf(id))
  const primaries = own.length === 0 ? 0 : Math.min(...own.map((written) => written.primaries))
  return {
    result,
    confirmed: { primaries, needed: n - (typeof r === 'number' ? r : Math.floor(n / 2) + 1) + 1 },
  }
}
