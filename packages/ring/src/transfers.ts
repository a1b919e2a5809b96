import type { NodeName, Ring } from './ring.ts'

/** A partition that changes its owner. */
export interface Transfer {
  readonly partition: number
  readonly from: NodeName
  readonly to: NodeName
}

/** What must be handed over to get from one ring to the other, by partition. Throws `RangeError` if their sizes differ. */
export function transfers(from: Ring, to: Ring): Transfer[] {
  if (from.partitions !== to.partitions) {
    throw new RangeError(
      `both rings must have as many partitions, got ${from.partitions} and ${to.partitions}`,
    )
  }
  const changes: Transfer[] = []
  for (const [partition, owner] of from.owners.entries()) {
    const next = to.owners[partition] ?? owner
    if (next !== owner) changes.push({ partition, from: owner, to: next })
  }
  return changes
}
