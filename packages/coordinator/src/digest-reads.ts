import type { StoredRecord } from '@atoll/causality'
import { equalBytes } from '@atoll/core'

export type DigestEvent =
  | { readonly kind: 'digest'; readonly at: number; readonly digest: Uint8Array }
  | { readonly kind: 'record'; readonly at: number; readonly record: StoredRecord }
  /** It has no record to give, or has failed. */
  | { readonly kind: 'nothing'; readonly at: number }
  /** The one that was asked for the record takes too long. */
  | { readonly kind: 'hurry' }

export type DigestEffect =
  /** The replica has this record, which another one has sent. */
  | { readonly kind: 'same'; readonly at: number; readonly record: StoredRecord }
  /** To be asked for its record: nobody else has sent it. */
  | { readonly kind: 'ask'; readonly at: number }

/** A record of which the reader has all, and its digest. */
export interface KnownRecord {
  readonly record: StoredRecord
  readonly digest: Uint8Array
}

export interface DigestPlan {
  /** The place of the one replica that is asked for its record; undefined if the reader has one. */
  readonly first: number | undefined
  /** What the reader has from before; it counts for nothing until a replica says that it has it. */
  readonly known: KnownRecord | undefined
  readonly digestOf: (record: StoredRecord) => Uint8Array
}

/** A record that a replica has sent: its digest is computed when there is another one to compare it with. */
interface Learnt {
  readonly record: StoredRecord
  digest: Uint8Array | undefined
}

interface Held {
  readonly at: number
  readonly digest: Uint8Array
}

const NOTHING: readonly DigestEffect[] = []

/**
 * A read that asks one replica for the record, and the others for its digest (Cassandra's digest reads). A digest waits
 * until a record is there that it may be of. One that is of none makes its replica be asked for the record as well; of
 * those with one digest, one at a time. So every replica is asked twice at most, and what comes of it is the same as if
 * each had sent its record.
 */
export class DigestReads {
  readonly #digestOf: DigestPlan['digestOf']
  readonly #known: Learnt[] = []
  #held: Held[] = []
  /** Digests of the replicas that were asked for their record, by place: undefined for the first one. */
  readonly #asked = new Map<number, Uint8Array | undefined>()
  #isWaiting: boolean
  readonly #first: number | undefined

  constructor({ first, known, digestOf }: DigestPlan) {
    this.#digestOf = digestOf
    this.#first = first
    this.#isWaiting = first !== undefined
    if (known !== undefined) this.#known.push({ record: known.record, digest: known.digest })
  }

  step(event: DigestEvent): readonly DigestEffect[] {
    if (event.kind === 'digest') this.#held.push(event)
    else if (event.kind === 'hurry') this.#isWaiting = false
    else {
      this.#asked.delete(event.at)
      if (event.at === this.#first) this.#isWaiting = false
      if (event.kind === 'record') this.#known.push({ record: event.record, digest: undefined })
    }
    return this.#held.length === 0 ? NOTHING : [...this.#matched(), ...this.#unmatched()]
  }

  #matched(): DigestEffect[] {
    const effects: DigestEffect[] = []
    const rest: Held[] = []
    for (const held of this.#held) {
      const same = this.#known.find((one) => equalBytes(this.#digestIn(one), held.digest))
      if (same === undefined) rest.push(held)
      else effects.push({ kind: 'same', at: held.at, record: same.record })
    }
    this.#held = rest
    return effects
  }

  #digestIn(one: Learnt): Uint8Array {
    one.digest ??= this.#digestOf(one.record)
    return one.digest
  }

  #unmatched(): DigestEffect[] {
    if (this.#isWaiting) return []
    const effects: DigestEffect[] = []
    this.#held = this.#held.filter(({ at, digest }) => {
      for (const asked of this.#asked.values())
        if (asked !== undefined && equalBytes(asked, digest)) return true
      this.#asked.set(at, digest)
      effects.push({ kind: 'ask', at })
      return false
    })
    return effects
  }
}
