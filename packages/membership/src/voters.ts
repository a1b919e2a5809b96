import type { NodeName } from '@atoll/ring'
import type { ClusterDocument } from './document.ts'

/** The members that decide the next epoch by majority: those that are valid or leaving. In the order of their names. */
export function votersOf({ members }: ClusterDocument): readonly NodeName[] {
  return [...members.values()]
    .filter(({ state }) => state === 'valid' || state === 'leaving')
    .map(({ node }) => node)
    .sort()
}

/**
 * The members that are marked down, in the order of their names. What they vote counts only where the voters are too few,
 * and by the rule for `reserves` of `@atoll/consensus`.
 */
export function reservesOf({ members }: ClusterDocument): readonly NodeName[] {
  return [...members.values()]
    .filter(({ state }) => state === 'down')
    .map(({ node }) => node)
    .sort()
}

export function isMajority(some: number, all: number): boolean {
  return some > all / 2
}
