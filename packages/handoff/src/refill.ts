import type { KeyId } from '@atoll/core'
import { Job } from './jobs.ts'
import type { Place } from './sender.ts'
import { Shares } from './shares.ts'
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
  readonly #request: Pick<RefillRequest, 'id' | 'partition'>
  readonly #shares: Shares

  constructor(site: Site, request: RefillRequest) {
    this.#site = site
    this.#request = request
    const { partition, select } = request
    this.job = new Job(site.runtime, { kind: 'refill', direction: 'out', partition, from: site.node, to: '' })
    this.#shares = new Shares(site, { job: this.job, select })
  }

  async run(signal: AbortSignal): Promise<Refilled> {
    const { id, partition } = this.#request
    this.job.phase = 'refilling'
    await copyAll(this.#site, { id, partition, shares: this.#shares }, signal)
    await this.#shares.end()
    return { records: this.job.records, bytes: this.job.bytes }
  }
}

/** Goes over all records of a vnode, from where an earlier call of that id has come to. */
export async function copyAll(
  site: Site,
  { id, partition, shares }: { readonly id: string; readonly partition: number; readonly shares: Shares },
  signal: AbortSignal,
): Promise<void> {
  const vnode = site.host.handoffOf(partition)
  // What is being written may have been asked for before the other vnodes were known.
  await vnode.idle()
  for await (const page of vnode.pages(await vnode.readRefill(id), site.options)) {
    await shares.push(page.records, signal)
    if (page.next !== undefined) await vnode.saveRefill(id, page.next)
  }
  await vnode.forgetRefill(id)
}
