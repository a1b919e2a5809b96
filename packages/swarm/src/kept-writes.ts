import { type CausalContext, descends } from '@atoll/causality'
import { isAtollError, type KeyId } from '@atoll/core'
import type { VnodeHost } from '@atoll/vnode'
import { nameOf } from './names.ts'

type Clock = CausalContext['vector']

interface Kept {
  readonly partition: number
  readonly id: KeyId
  readonly clock: Clock
}

/**
 * What a host has taken while it converted what a build before had left: it has all of that when that is over, whatever
 * others have. Reads would repair it, and nobody would see that it was gone.
 */
export class KeptWrites {
  readonly #host: VnodeHost
  readonly #kept = new Map<string, Kept>()
  #isOver = false

  constructor(host: VnodeHost) {
    this.#host = host
  }

  /** To be called when a write is acknowledged. */
  took(kept: Kept): void {
    if (!this.#isOver && kept.clock.size > 0) this.#kept.set(nameIn(kept), kept)
  }

  /** To be called when a record is removed, since it is safe elsewhere. */
  removed(partition: number, id: KeyId): void {
    this.#kept.delete(nameIn({ partition, id }))
  }

  dropped(partition: number): void {
    for (const [name, kept] of this.#kept) if (kept.partition === partition) this.#kept.delete(name)
  }

  /** To be called when nothing is left to be converted. Tells of each write that is not there any more. */
  async check(onForgotten: (id: KeyId) => void): Promise<void> {
    this.#isOver = true
    const { filed } = this.#host
    for (const { partition, id, clock } of this.#kept.values()) {
      try {
        const { record } = await this.#host.get({ partition, id })
        const isThere = this.#kept.has(nameIn({ partition, id })) && filed === this.#host.filed
        if (isThere && record !== undefined && !descends(record.clock, clock)) onForgotten(id)
      } catch (error) {
        // The node is gone, or its disk does not do what it shall.
        if (!isAtollError(error)) throw error
      }
    }
    this.#kept.clear()
  }
}

function nameIn({ partition, id }: Pick<Kept, 'partition' | 'id'>): string {
  return `${partition} ${nameOf(id)}`
}
