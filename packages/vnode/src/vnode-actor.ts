import { type ActorId, givenTwice, isRenamedIn, type RecordHead, type StoredRecord } from '@atoll/causality'
import { readBytes } from './database.ts'
import { Incarnation } from './incarnation.ts'
import type { VnodeLayout } from './layout.ts'
import type { WriterParts } from './writer-parts.ts'

/** Dots that stand for other writes in a vnode than in what is brought to it. */
export interface Twice {
  readonly actors: readonly ActorId[]
  /** Whether one of them is, or was, this vnode's. */
  readonly isOurs: boolean
}

const NOT_TWICE: Twice = { actors: [], isOurs: false }

type ActorParts = Pick<WriterParts, 'runtime' | 'database' | 'lineage'>

/** One vnode as an actor: its incarnation, read when it is first needed, and what shows that dots were given twice. */
export class VnodeActor {
  readonly #layout: VnodeLayout
  readonly #parts: ActorParts
  #incarnation: Incarnation | undefined
  #loading: Promise<Incarnation> | undefined
  /** The actor of which the log says that it has given a dot twice. */
  #told: ActorId | undefined

  constructor(layout: VnodeLayout, parts: ActorParts) {
    this.#layout = layout
    this.#parts = parts
  }

  /** At once if it was read before. */
  get incarnation(): Incarnation | Promise<Incarnation> {
    return this.#incarnation ?? this.#load()
  }

  /** A batch has failed: what became of its dots is unknown, so the actor gives no more of them. */
  renew(): void {
    this.#incarnation?.renew()
  }

  /** What in a record that is brought shows that dots were given twice: that is told. */
  heedTwice(
    current: RecordHead | undefined,
    brought: StoredRecord | undefined,
    { actor }: Incarnation,
  ): Twice {
    if (current === undefined || brought === undefined) return NOT_TWICE
    const actors = givenTwice(current, brought)
    const isOurs = actors.includes(actor) || isRenamedIn(brought, current, actor)
    if (actors.length === 0 && !isOurs) return NOT_TWICE
    const { log, metrics, probe } = this.#parts.runtime
    probe.mark('vnode.dot-given-twice')
    metrics.count('atoll_vnode_dots_given_twice_total')
    const culprit = actors[0] ?? actor
    if (this.#told !== culprit) {
      this.#told = culprit
      const what = isOurs ? 'this vnode, which goes on as a new one,' : 'a vnode'
      const facts = { partition: this.#layout.partition, actor: culprit }
      log.error(facts, `${what} has given a dot twice, as data from an older copy does: both writes are kept`)
    }
    return { actors, isOurs }
  }

  #load(): Promise<Incarnation> {
    this.#loading ??= this.#read().finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  async #read(): Promise<Incarnation> {
    const { runtime, database } = this.#parts
    const key = this.#layout.incarnationKey
    const stored = await readBytes(database, key)
    const lineage = this.#parts.lineage()
    const parts = { key, random: runtime.random, crc32: runtime.digest.crc32, lineage }
    this.#incarnation = new Incarnation(parts, stored)
    return this.#incarnation
  }
}
