import { AtollError } from '@atoll/core'
import { Job } from './jobs.ts'
import type { Page } from './pages.ts'
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

/** One pass over a vnode that belongs to another node: what is safe there is deleted here, unless it has changed. */
export class GiveBack {
  readonly job: Job
  readonly #site: Site
  readonly #place: { readonly node: string; readonly partition: number }

  constructor(site: Site, partition: number, to: string) {
    this.#site = site
    this.#place = { node: to, partition }
    this.job = new Job(site.runtime, { kind: 'give-back', direction: 'out', partition, from: site.node, to })
  }

  async run(signal: AbortSignal): Promise<GivenBack> {
    const vnode = this.#site.host.handoffOf(this.#place.partition)
    this.job.phase = 'giving-back'
    const done = { records: 0, bytes: 0, corrupt: 0 }
    let next: Uint8Array | undefined
    do {
      const page = await vnode.page(next, this.#site.options)
      const gone = await this.#give(page, signal)
      done.records += gone.length
      done.bytes += gone.reduce((sum, { bytes }) => sum + bytes, 0)
      done.corrupt += page.corrupt
      next = page.next
    } while (next !== undefined)
    await this.#site.sender.end(this.#place, this.job.identity)
    return { ...done, left: await vnode.count() }
  }

  async #give(page: Page, signal: AbortSignal): Promise<Page['records']> {
    const vnode = this.#site.host.handoffOf(this.#place.partition)
    const held = await this.#site.sender.push(page.records, this.#place, { job: this.job, signal })
    this.#checkOwner()
    signal.throwIfAborted()
    const removed = await Promise.all(held.map(({ id, digest }) => vnode.remove(id, digest)))
    return held.filter((_, at) => removed[at] === true)
  }

  /** It may have become this node's own while it was being given away. */
  #checkOwner(): void {
    const { ownership, node } = this.#site
    const { partition } = this.#place
    if (ownership === undefined || ownership().ownerOf(partition) !== node) return
    const message = `partition ${partition} belongs to this node: it is not given away`
    throw new AtollError('ATOLL_CHANGE_REFUSED', message)
  }
}
