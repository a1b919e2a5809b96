/** What two partitions at a distance cost if one node or one zone has both. */
export interface Spacing {
  /** Pairs further apart than this cost nothing. */
  readonly reach: number
  /** Cost by distance, if one node has both. */
  readonly node: Int32Array
  /** Cost by distance, if one zone has both. */
  readonly zone: Int32Array
}

/** Partitions of one node or zone must be `node` and `zone` apart, and should be `nodeWish` and `zoneWish` apart. */
export interface SpacingGoal {
  readonly node: number
  readonly nodeWish: number
  readonly zone: number
  readonly zoneWish: number
}

/** Of a wish the last step depends on the least: for nodes it is the one from n to n + 1. */
const LAST_WISH_COST = 1
const WISH_COST = 2
/** A move that is not free. Dearer than all the wishes of a partition, of which there are fewer than 4 x 16. */
export const MOVE_COST = 1 << 7
/** Dearer than moving all 1024 partitions. A partition whose pairs cost this or more violates what must be. */
export const MUST_COST = MOVE_COST << 10
const ZONE_COST = MUST_COST
const NODE_COST = MUST_COST << 2

export function spacingFor(goal: SpacingGoal): Spacing {
  const widest = Math.max(goal.node, goal.nodeWish, goal.zone, goal.zoneWish)
  return {
    reach: widest - 1,
    node: costs(widest, NODE_COST, goal.node, goal.nodeWish),
    zone: costs(widest, ZONE_COST, goal.zone, goal.zoneWish),
  }
}

function costs(widest: number, mustCost: number, must: number, wish: number): Int32Array {
  return Int32Array.from({ length: widest }, (_, distance) => {
    if (distance < must) return mustCost
    if (distance < wish - 1) return WISH_COST
    return distance < wish ? LAST_WISH_COST : 0
  })
}
