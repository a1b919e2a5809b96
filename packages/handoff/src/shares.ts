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

export interface Lacking {
  readonly lacking: ReadonlySet<MovingRecord>
  /** Of those. */
  readonly damaged: ReadonlySet<MovingRecord>
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

  /** Resolves with those that one of their vnodes lacks still, and says of which the values are damaged here. */
  async push(records: readonly MovingRecord[], signal: AbortSignal): Promise<Lacking> {
    const { job, select } = this.#plan
    const shares = new Map<string, MovingRecord[]>()
    for (const record of records) {
      for (const target of select(record.id)) {
        const name = `${target.node} ${target.partition}`
        this.#targets.set(name, target)
        shares.set(name, [...(shares.get(name) ?? []), record])
      }
    }
    const lacking = new Set<MovingRecord>()
    const damaged = new Set<MovingRecord>()
    for (const [name, share] of shares) {
      const target = this.#targets.get(name)
      if (target === undefined) continue
      const pushed = await this.#site.sender.push(share, target, { job, signal })
      const held = new Set(pushed.held)
      for (const record of share) if (!held.has(record)) lacking.add(record)
      for (const record of pushed.damaged) damaged.add(record)
    }
    return { lacking, damaged }
  }

  /** Tells all of them that nothing more comes for now. */
  async end(): Promise<void> {
    for (const target of this.#targets.values()) await this.#site.sender.end(target, this.#plan.job.identity)
  }
}
