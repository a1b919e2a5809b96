import { AtollError, type KeyId } from '@atoll/core'
import type { Page } from '@atoll/vnode'
import { Job } from './jobs.ts'
import { copyAll } from './refill.ts'
import type { Place } from './sender.ts'
import { Shares } from './shares.ts'
import type { Site } from './site.ts'

export interface HintPlan {
  readonly partition: number
  /** The node that missed records of the partition. */
  readonly node: string
  /**
   * Which vnodes shall have a record: that node, or those who hold the partition in its place; none of a record that it
   * does not hold.
   */
  readonly select: (id: KeyId) => readonly Place[]
}

/**
 * One pass over what a node missed while it could not be reached: all of a partition, if that is owed, and then what
 * was noted by key. Each is offered as it is now, and a hint goes when the other node has the record, durably, and
 * nobody noted it again since.
 */
export class HintDelivery {
  readonly job: Job
  readonly #site: Site
  readonly #plan: HintPlan
  readonly #shares: Shares

  constructor(site: Site, plan: HintPlan) {
    this.#site = site
    this.#plan = plan
    const { partition, node: to } = plan
    this.job = new Job(site.runtime, { kind: 'refill', direction: 'out', partition, from: site.node, to })
    this.#shares = new Shares(site, { job: this.job, select: plan.select })
  }

  /** Throws whatever the other node answers, and `ATOLL_OVERLOADED` or `ATOLL_CORRUPT` if something of it stays. */
  async run(signal: AbortSignal): Promise<void> {
    this.job.phase = 'refilling'
    try {
      await this.#fill(signal)
      await this.#deliver(signal)
    } finally {
      await this.#shares.end()
    }
  }

  async #fill(signal: AbortSignal): Promise<void> {
    const { partition } = this.#plan
    const { hints } = this.#site.host
    const id = hints.beginFilling(this.#plan)
    if (id === undefined) return
    await copyAll(this.#site, { id, partition, shares: this.#shares }, signal)
    await this.#site.host.handoffOf(partition).write(hints.filled(this.#plan, id))
    hints.endFilling(this.#plan, id)
  }

  async #deliver(signal: AbortSignal): Promise<void> {
    const { partition, node } = this.#plan
    const { host, options } = this.#site
    const vnode = host.handoffOf(partition)
    const touched = host.hints.watch(this.#plan)
    // What was noted before that is on disk now, or has failed.
    await vnode.idle()
    const left = { refused: 0, corrupt: 0 }
    let next: Uint8Array | undefined
    do {
      const page = await vnode.hintedPage(node, next, options)
      const { lacking, damaged } = await this.#shares.push(page.records, signal)
      signal.throwIfAborted()
      const stays = new Set([...lacking].map(({ id }) => vnode.nameOf(id)))
      await vnode.forgetNotes(this.#done(page, new Set([...touched, ...stays])))
      left.refused += lacking.size - damaged.size
      left.corrupt += page.corrupt.length + damaged.size
      next = page.next
    } while (next !== undefined)
    await host.hints.reload(this.#plan, touched)
    if (left.refused + left.corrupt === 0) return
    const message = `${node} missed records of partition ${partition}, of which it does not take ${left.refused}, and ${left.corrupt} are damaged here`
    throw new AtollError(left.corrupt > 0 ? 'ATOLL_CORRUPT' : 'ATOLL_OVERLOADED', message)
  }

  /** The hints of a page that are not needed any more. A damaged record is given once it is whole again. */
  #done({ notes, corrupt }: Page, stays: ReadonlySet<string>): readonly Uint8Array[] {
    const vnode = this.#site.host.handoffOf(this.#plan.partition)
    const damaged = new Set(corrupt)
    return notes.filter((hintKey) => {
      const name = vnode.nameOfHint(hintKey)
      return !stays.has(name) && !damaged.has(name)
    })
  }
}
