import type { KeyId } from '@atoll/core'
import { Job } from './jobs.ts'
import { type MovingRecord, type Page, pagesFrom } from './pages.ts'
import type { Place } from './sender.ts'
import type { Site } from './site.ts'

export interface RefillRequest {
  /** By which a refill that was interrupted goes on where it was: 1 to 128 characters of `a-z A-Z 0-9 . _ : -`. */
  readonly id: string
  /** An own vnode, of which records are copied. */
  readonly partition: number
  /** Which vnodes shall have a record besides. */
  readonly select: (id: KeyId) => readonly Place[]
  readonly signal?: AbortSignal | undefined
}

export interface Refilled {
  /** Records that were sent, and what is stored of them, since this call. */
  readonly records: number
  readonly bytes: number
}

/** Copies records of one vnode to others that lack them, behind a durable cursor. */
export class Refill {
  readonly job: Job
  readonly #site: Site
  readonly #request: RefillRequest
  readonly #targets = new Map<string, Place>()

  constructor(site: Site, request: RefillRequest) {
    this.#site = site
    this.#request = request
    const { partition } = request
    this.job = new Job(site.runtime, { kind: 'refill', direction: 'out', partition, from: site.node, to: '' })
  }

  async run(signal: AbortSignal): Promise<Refilled> {
    const { id, partition } = this.#request
    const vnode = this.#site.host.handoffOf(partition)
    this.job.phase = 'refilling'
    // What is being written may have been asked for before the other vnodes were known.
    await vnode.idle()
    const read = (cursor: Uint8Array | undefined) => vnode.page(cursor, this.#site.options)
    for await (const page of pagesFrom(await vnode.readRefill(id), read)) {
      await this.#push(page, signal)
      if (page.next !== undefined) await vnode.saveRefill(id, page.next)
    }
    await vnode.forgetRefill(id)
    for (const target of this.#targets.values()) await this.#site.sender.end(target, this.job.identity)
    return { records: this.job.records, bytes: this.job.bytes }
  }

  async #push(page: Page, signal: AbortSignal): Promise<void> {
    const shares = new Map<string, MovingRecord[]>()
    for (const record of page.records) {
      for (const target of this.#request.select(record.id)) {
        const name = `${target.node} ${target.partition}`
        this.#targets.set(name, target)
        shares.set(name, [...(shares.get(name) ?? []), record])
      }
    }
    for (const [name, records] of shares) {
      const target = this.#targets.get(name)
      if (target !== undefined) await this.#site.sender.push(records, target, { job: this.job, signal })
    }
  }
}
