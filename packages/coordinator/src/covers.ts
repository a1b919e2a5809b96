import type { AtollError } from '@atoll/core'
import type { Placement } from '@atoll/ring'
import { uncovered } from './outcome.ts'
import type { ReadQuorum } from './quorum.ts'
import { type Cover, type CoverPlan, findGap, planCover } from './scan-cover.ts'

export interface CoverNeeds {
  readonly placement: Placement
  /** What a key needs that one node holds, that two hold, and so on up to n. */
  readonly quorums: readonly ReadQuorum[]
  readonly isUp: (node: string) => boolean
  /** Why a node that was up is not any more, if that is so. */
  readonly cause: AtollError | undefined
}

/**
 * Plans covers and keeps the last one: a plan costs some milliseconds with 1024 partitions, and page after page needs
 * the same one while nothing changes.
 */
export class Covers {
  readonly #local: string
  #placement: Placement | undefined
  #nodes: readonly string[] = []
  #key = ''
  #cover: Cover | undefined

  constructor(local: string) {
    this.#local = local
  }

  /** Whether every slice has its replicas. */
  isCovered({ placement, quorums, isUp }: Omit<CoverNeeds, 'cause'>): boolean {
    const plan = { epoch: placement.epoch, local: this.#local, ...listsAndNeeds(placement, quorums, isUp) }
    return findGap(plan) === undefined
  }

  /** Throws `ATOLL_QUORUM_IMPOSSIBLE` where a slice lacks replicas, and `ATOLL_QUORUM_UNMET` if they went away. */
  cover({ placement, quorums, isUp, cause }: CoverNeeds): Cover {
    if (placement !== this.#placement) {
      this.#placement = placement
      this.#nodes = [...new Set(placement.ring.owners.flatMap((_, partition) => placement.nodes(partition)))]
      this.#cover = undefined
    }
    const sizes = quorums.map(({ n, r, pr, sloppy, absence }) => `${n} ${r} ${pr} ${sloppy} ${absence}`)
    const key = [...sizes, ...this.#nodes.filter((node) => !isUp(node))].join(' ')
    if (this.#cover !== undefined && this.#key === key) return this.#cover
    const plan = { epoch: placement.epoch, local: this.#local, ...listsAndNeeds(placement, quorums, isUp) }
    const gap = findGap(plan)
    if (gap !== undefined) throw uncovered(gap, cause)
    this.#key = key
    this.#cover = planCover(plan)
    return this.#cover
  }
}

/** Nobody answers in place of one that is behind: a fallback knows even less. */
function listsAndNeeds(
  placement: Placement,
  quorums: readonly ReadQuorum[],
  isUp: (node: string) => boolean,
): Pick<CoverPlan, 'lists' | 'holders' | 'needs'> {
  const [most] = quorums.slice(-1)
  if (most === undefined) return { lists: [], holders: [], needs: [] }
  const slices = [...placement.ring.owners.keys()]
  const lists = slices.map((slice) => {
    const list = placement.active(slice, most.n, isUp).filter(({ isBehind }) => !isBehind)
    return most.sloppy ? list : list.filter((entry) => entry.role === 'primary')
  })
  const holders = slices.map((slice) => placement.primaries(slice, most.n))
  const needs = holders.map(({ length }) => quorums[length - 1] ?? most)
  return { lists, holders, needs }
}
