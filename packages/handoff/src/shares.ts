import type { KeyId } from '@atoll/core'
import type { MovingRecord } from '@atoll/vnode'
import type { Job } from './jobs.ts'
import type { Place } from './sender.ts'
import type { Site } from './site.ts'

export interface SharesPlan {
  readonly job: Job
  /** Which vnodes shall have a record. */
  readonly select: (id: KeyId) => readonly Place[]
}

/** Brings records to the vnodes that are chosen for each of them. */
export class Shares {
  readonly #site: Site
  readonly #plan: SharesPlan
  readonly #targets = new Map<string, Place>()

  constructor(site: Site, plan: SharesPlan) {
    this.#site = site
    this.#plan = plan
  }

  /** Resolves with those that one of their vnodes will never take. */
  async push(records: readonly MovingRecord[], signal: AbortSignal): Promise<ReadonlySet<MovingRecord>> {
    const { job, select } = this.#plan
    const shares = new Map<string, MovingRecord[]>()
    for (const record of records) {
      for (const target of select(record.id)) {
        const name = `${target.node} ${target.partition}`
        this.#targets.set(name, target)
        shares.set(name, [...(shares.get(name) ?? []), record])
      }
    }
    const refused = new Set<MovingRecord>()
    for (const [name, share] of shares) {
      const target = this.#targets.get(name)
      if (target === undefined) continue
      const held = new Set(await this.#site.sender.push(share, target, { job, signal }))
      for (const record of share) if (!held.has(record)) refused.add(record)
    }
    return refused
  }

  /** Tells all of them that nothing more comes for now. */
  async end(): Promise<void> {
    for (const target of this.#targets.values()) await this.#site.sender.end(target, this.#plan.job.identity)
  }
}
