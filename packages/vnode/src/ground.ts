import type { KeyId } from '@atoll/core'
import type { Decision } from './decision.ts'
import { keepValues, type StoredHead } from './envelope.ts'
import type { IndexWhere } from './index-entry.ts'
import { keyText } from './keys.ts'
import type { VnodeLayout } from './layout.ts'
import { orphanDeletes } from './orphans.ts'
import type { Operation } from './ports.ts'
import type { WriterParts } from './writer-parts.ts'

/** Where a record lies: the key, and the text by which maps know it. */
export interface RecordPlace {
  readonly key: Uint8Array
  readonly name: string
}

/** What a decision starts from. */
export interface Ground extends StoredHead, RecordPlace {
  /** When that is on disk. */
  readonly durable: Promise<void>
  /** Index entries of a record that cannot tell them any more. */
  readonly orphans: readonly Operation[]
}

const DURABLE = Promise.resolve()
const NO_OPERATIONS: readonly Operation[] = []

type NeedsValues = Decision['needsValues'] | undefined

/** Of which record, and for whom. */
export interface Wanted {
  readonly place: RecordPlace
  readonly id: KeyId
  readonly needsValues: NeedsValues
}

/** A read that was begun, and how many batches had failed by then. */
interface Begun {
  readonly head: StoredHead | Promise<StoredHead>
  readonly failures: number
}

/** Finds what decisions of one vnode start from: a record that is on its way to the disk, or else what lies there. */
export class Grounds {
  readonly #layout: VnodeLayout
  readonly #parts: WriterParts

  constructor(layout: VnodeLayout, parts: WriterParts) {
    this.#layout = layout
    this.#parts = parts
  }

  placeOf(id: KeyId): RecordPlace {
    const key = this.#layout.dataKey(id)
    return { key, name: keyText(key) }
  }

  /** Where the index entries of the vnode lie. */
  get where(): IndexWhere {
    const { ownIndexes } = this.#parts
    return { layout: this.#layout, hasOwn: ownIndexes.has(this.#layout.partition) }
  }

  /** Decides in the key's turn. What is found at once is decided upon at once, so that nothing can fail in between. */
  upon<T>(wanted: Wanted, decide: (ground: Ground) => T): T | Promise<T> {
    if (this.#parts.order.isBusy(wanted.place.name)) return this.inTurn(wanted, decide)
    const ground = this.#of(wanted)
    return ground instanceof Promise ? this.inTurn(wanted, decide, ground) : decide(ground)
  }

  /** The turn lasts until what `decide` promises has come about. A `reading` is one that was begun at this moment. */
  inTurn<T>(
    wanted: Wanted,
    decide: (ground: Ground) => T | Promise<T>,
    reading?: Promise<Ground>,
  ): Promise<T> {
    return this.#parts.order.run(wanted.place.name, async () => {
      const found = reading ?? this.#of(wanted)
      return decide(found instanceof Promise ? await found : found)
    })
  }

  /** Answers at once what needs no waiting. */
  #of(wanted: Wanted): Ground | Promise<Ground> {
    const { place, needsValues } = wanted
    const pending = this.#pending(place)
    if (pending !== undefined) return pending
    const { committer, reader } = this.#parts
    if (!committer.isSettled) return this.#read(wanted)
    const { failures } = committer
    const head = reader.head(place.key)
    const isPlain = !(head instanceof Promise) && !isLost(head) && !wants(head, needsValues)
    return isPlain ? groundOf(place, head, NO_OPERATIONS) : this.#read(wanted, { head, failures })
  }

  /** What `read` finds while no batch fails, for who decides nothing. */
  async settled<T>(read: () => T | Promise<T>): Promise<T> {
    const { committer } = this.#parts
    for (;;) {
      if (!committer.isSettled) await committer.settle()
      const { failures } = committer
      const found = await read()
      if (committer.failures === failures) return found
    }
  }

  #pending({ key, name }: RecordPlace): Ground | undefined {
    const pending = this.#parts.order.pending(name)
    if (pending === undefined) return undefined
    this.#parts.runtime.probe.mark('vnode.write-on-pending')
    const { record, bytes, bodyBytes, durable } = pending
    keepValues(record)
    return { record, corrupt: false, bytes, bodyBytes, key, name, durable, orphans: NO_OPERATIONS }
  }

  /** What is read while a batch fails may not be what the database holds once it is sound again. */
  async #read({ place, id, needsValues }: Wanted, begun?: Begun): Promise<Ground> {
    const { committer, database, reader } = this.#parts
    for (let reading = begun; ; reading = undefined) {
      if (reading === undefined && !committer.isSettled) await committer.settle()
      const { head: begins, failures } = reading ?? {
        head: reader.head(place.key),
        failures: committer.failures,
      }
      const head = await begins
      const state = wants(head, needsValues) ? await this.#withValues(place.key, head) : head
      const orphans = isLost(state) ? await orphanDeletes(database, this.where, id) : NO_OPERATIONS
      if (committer.failures === failures) return groundOf(place, state, orphans)
    }
  }

  /** Nobody else writes to the key meanwhile. Where the values are damaged, the head still tells what was there. */
  async #withValues(key: Uint8Array, head: StoredHead): Promise<StoredHead> {
    const { record, corrupt } = await this.#parts.reader.peek(key)
    return { ...head, record: record ?? head.record, corrupt }
  }
}

function groundOf(
  { key, name }: RecordPlace,
  { record, corrupt, bytes, bodyBytes, isOlder, headOfBody }: StoredHead,
  orphans: readonly Operation[],
): Ground {
  return { record, corrupt, bytes, bodyBytes, isOlder, headOfBody, key, name, durable: DURABLE, orphans }
}

/** Whether values that lie apart from the head are needed. */
function wants({ headOfBody, record }: StoredHead, needsValues: NeedsValues): boolean {
  return headOfBody !== undefined && record !== undefined && needsValues?.(record) === true
}

/** Whether there is something of which nothing can be read. */
export function isLost({ record, corrupt }: Pick<StoredHead, 'record' | 'corrupt'>): boolean {
  return corrupt && record === undefined
}
