import type { AtollNode } from '@atoll/node'

/** How many primaries had a write on disk when it was acknowledged, and how many a read of that time had to meet. */
export interface Confirmed {
  readonly primaries: number
  /** n - r + 1 of the bucket type: of any r primaries, one of so many has the write. */
  readonly needed: number
}

export function neededOf({ bucketTypes }: AtollNode, type: string): number {
  const { n, r } = bucketTypes.get(type)
  return n - (typeof r === 'number' ? r : Math.floor(n / 2) + 1) + 1
}

/** Whether no read can miss the write: it meets one of those who have it. */
export function isFirm({ primaries, needed }: Confirmed): boolean {
  return primaries >= needed
}
