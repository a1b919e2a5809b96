import { AtollError } from '@atoll/core'
import type { MovingRecord, Page } from '@atoll/vnode'
import { Job } from './jobs.ts'
import type { Place } from './sender.ts'
import type { Site } from './site.ts'

export interface GivenBack {
  /** Records that are not here any more. */
  readonly records: number
  /** What was stored of them. */
  readonly bytes: number
  /** Records that are still here: those that changed meanwhile, were refused, or are damaged. */
  readonly left: number
  /** Of those, damaged ones, which nobody can be given. */
  readonly corrupt: number
}

export interface GiveBackPlan {
  readonly partition: number
  /** All who hold what is given. */
  readonly to: readonly string[]
  /** Only records of this bucket type, which has fewer replicas than others: then the vnode may be this node's own. */
  readonly type?: string | undefined
}

/**
 * One pass over a vnode that this node does not hold by the document: what all its holders have is deleted here, unless it
 * has changed. A fallback does not know which of them it stood in for, and offers cost little where nothing is lacking.
 */
export class GiveBack {
  readonly job: Job
  readonly #site: Site
  readonly #places: readonly Place[]
  readonly #partition: number
  readonly #type: string | undefined

  constructor(site: Site, { partition, to, type }: GiveBackPlan) {
    this.#site = site
    this.#partition = partition
    this.#type = type
    this.#places = to.map((node) => ({ node, partition }))
    const between = { from: site.node, to: to.join(' ') }
    this.job = new Job(site.runtime, { kind: 'give-back', direction: 'out', partition, ...between })
  }

  /** A pass that fails is ended, too: the others take records for a few vnodes at a time, and others wait for that. */
  async run(signal: AbortSignal): Promise<GivenBack> {
    try {
      return await this.#pass(signal)
    } finally {
      const { sender } = this.#site
      await Promise.all(this.#places.map((place) => sender.end(place, this.job.identity)))
    }
  }

  async #pass(signal: AbortSignal): Promise<GivenBack> {
    const vnode = this.#site.host.handoffOf(this.#partition)
    this.job.phase = 'giving-back'
    const done = { records: 0, bytes: 0, corrupt: 0 }
    let next: Uint8Array | undefined
    do {
      const page = await vnode.page(next, this.#site.options, this.#type)
      const { gone, damaged } = await this.#give(page, signal)
      done.records += gone.length
      done.bytes += gone.reduce((sum, { bytes }) => sum + bytes, 0)
      done.corrupt += page.corrupt.length + damaged.size
      next = page.next
    } while (next !== undefined)
    return { ...done, left: await vnode.count(this.#type) }
  }

  async #give(page: Page, signal: AbortSignal) {
    const vnode = this.#site.host.handoffOf(this.#partition)
    let held: readonly MovingRecord[] = page.records
    const damaged = new Set<MovingRecord>()
    for (const place of this.#places) {
      const pushed = await this.#site.sender.push(page.records, place, { job: this.job, signal })
      const there = new Set(pushed.held)
      held = held.filter((record) => there.has(record))
      for (const record of pushed.damaged) damaged.add(record)
    }
    this.#checkOwner()
    signal.throwIfAborted()
    const removed = await Promise.all(held.map((record) => vnode.remove(record)))
    return { gone: held.filter((_, at) => removed[at] === true), damaged }
  }

  /** It may have become this node's own while it was being given away. */
  #checkOwner(): void {
    const partition = this.#partition
    if (this.#type !== undefined || !this.#site.isOwn?.(partition)) return
    const message = `partition ${partition} belongs to this node: it is not given away`
    throw new AtollError('ATOLL_CHANGE_REFUSED', message)
  }
}
