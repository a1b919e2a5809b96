import type { AtollError } from '@atoll/core'
import type { Placement } from '@atoll/ring'
import { uncovered } from './outcome.ts'
import type { ReadQuorum } from './quorum.ts'
import { type Cover, findGap, planCover } from './scan-cover.ts'

export interface CoverNeeds {
  readonly placement: Placement
  readonly quorum: ReadQuorum
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

  /** Throws `ATOLL_QUORUM_IMPOSSIBLE` where a slice lacks replicas, and `ATOLL_QUORUM_UNMET` if they went away. */
  cover({ placement, quorum, isUp, cause }: CoverNeeds): Cover {
    if (placement !== this.#placement) {
      this.#placement = placement
      this.#nodes = [...new Set(placement.ring.owners)]
      this.#cover = undefined
    }
    const { n, r, pr, sloppy } = quorum
    const key = [n, r, pr, sloppy, ...this.#nodes.filter((node) => !isUp(node))].join(' ')
    if (this.#cover !== undefined && this.#key === key) return this.#cover
    const lists = placement.ring.owners.map((_, slice) => {
      const list = placement.active(slice, n, isUp)
      return sloppy ? list : list.filter((entry) => entry.role === 'primary')
    })
    const plan = { epoch: placement.epoch, lists, r, pr, local: this.#local }
    const gap = findGap(plan)
    if (gap !== undefined) throw uncovered(gap, quorum, cause)
    this.#key = key
    this.#cover = planCover(plan)
    return this.#cover
  }
}
