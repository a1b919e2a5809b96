import { EMPTY_RECORD, isWhole, type RecordHead, type StoredRecord } from '@atoll/causality'
import { assert, type KeyId } from '@atoll/core'
import type { ChangeLog } from './change-log.ts'
import { checkClock } from './clock-watch.ts'
import { countsOf } from './counts.ts'
import { type Decided, type Decision, isExactly, knowsMore } from './decision.ts'
import type { Derived, RecordChange } from './derivation.ts'
import { type Ground, Grounds, isLost, type RecordPlace } from './ground.ts'
import type { Claim, Incarnation } from './incarnation.ts'
import { keyText } from './keys.ts'
import type { VnodeLayout } from './layout.ts'
import type { Operation } from './ports.ts'
import { RecordMoves } from './record-moves.ts'
import { type RecordPuts, recordDeletes, recordPuts } from './record-puts.ts'
import { checkDisk, checkRoom } from './record-room.ts'
import type { Recount } from './recount.ts'
import { VnodeActor } from './vnode-actor.ts'
import type { WriterParts } from './writer-parts.ts'

/** A client's write that takes the place of whatever is there. */
const CLIENTS = { origin: 'client', coordinated: false } as const

const DURABLE = Promise.resolve()
const NO_OPERATIONS: readonly Operation[] = []
const DECLINED: Decided = {
  record: EMPTY_RECORD,
  changed: false,
  declined: true,
  overCorrupt: false,
  twice: [],
  durable: DURABLE,
}

/** A decision in its key's turn. */
interface Deciding {
  readonly decision: Decision
  readonly place: RecordPlace
  readonly incarnation: Incarnation
}

/** The write path of one vnode: read, decide, queue; one decision at a time for each key. */
export class RecordWriter {
  readonly #vnode: { readonly layout: VnodeLayout; changes: ChangeLog | undefined }
  readonly #layout: VnodeLayout
  readonly #parts: WriterParts
  readonly #grounds: Grounds
  readonly #moves: RecordMoves
  readonly #actor: VnodeActor

  constructor(layout: VnodeLayout, parts: WriterParts) {
    this.#layout = layout
    this.#vnode = { layout, changes: undefined }
    this.#parts = parts
    this.#grounds = new Grounds(layout, parts)
    this.#moves = new RecordMoves(layout, parts, this.#grounds)
    this.#actor = new VnodeActor(layout, parts)
  }

  /** Where changes are noted; set while the vnode is copied to another node. */
  get changes(): ChangeLog | undefined {
    return this.#vnode.changes
  }

  set changes(changes: ChangeLog | undefined) {
    this.#vnode.changes = changes
  }

  /** A batch has failed: what became of its dots is unknown, so the actor gives no more of them. */
  renew(): void {
    this.#actor.renew()
  }

  /** What this build brings to where it keeps it. */
  get moves(): RecordMoves {
    return this.#moves
  }

  /** Reads what is there, decides and queues; at once if none of that has to wait. */
  update(decision: Decision): Decided | Promise<Decided> {
    const place = this.#grounds.placeOf(decision.id)
    const { incarnation } = this.#actor
    return incarnation instanceof Promise
      ? incarnation.then((known) => this.#update({ decision, place, incarnation: known }))
      : this.#update({ decision, place, incarnation })
  }

  #update(deciding: Deciding): Decided | Promise<Decided> {
    const { id, needsValues } = deciding.decision
    const wanted = { place: deciding.place, id, needsValues }
    return this.#grounds.upon(wanted, (ground) => this.#decide(deciding, ground))
  }

  /**
   * The write-once way: whatever is there, which matters only to what is derived, so that a sound copy also heals a damaged
   * one. A large value is written from where it is, where the database can: it must not change any more.
   */
  overwrite(id: KeyId, record: StoredRecord, hintFor?: readonly string[]): Decided | Promise<Decided> {
    const place = this.#grounds.placeOf(id)
    return this.#grounds.upon({ place, id, needsValues: undefined }, (ground) => {
      checkDisk(this.#parts.database, undefined, record)
      const { key, name, record: before } = ground
      const puts = recordPuts({ key, record, before: ground, isSettled: true }, this.#parts)
      checkRoom(this.#parts.recordBytes, puts, undefined)
      const change = { id, key, name, before, after: record, isLost: isLost(ground), ...CLIENTS }
      const derived = this.#derive(change, [...ground.orphans, ...puts.operations])
      derived.operations.push(...this.#hints(key, hintFor))
      const durable = this.#queue(name, { record, puts }, derived)
      return { ...DECLINED, record, changed: true, declined: false, durable }
    })
  }

  /** Notes that holders miss the record of a key; resolves when that is on disk. */
  hint(id: KeyId, hintFor: readonly string[]): Promise<void> {
    const operations = this.#hints(this.#layout.dataKey(id), hintFor)
    return operations.length === 0 ? DURABLE : this.#parts.committer.commit(operations)
  }

  /** Notes that a holder may lack any record; resolves when that is on disk. */
  owe(node: string): Promise<void> {
    const { committer, hints } = this.#parts
    return committer.commit(hints.owe({ partition: this.#layout.partition, node }))
  }

  /**
   * Deletes a record if it still is the expected one, and says whether; a change that is on its way counts. It must be
   * safe elsewhere. The vnode goes on as a new actor if the record knows it: its next event of the key must not seem to
   * follow on those that it has given away.
   */
  async remove(id: KeyId, isExpected: (record: RecordHead) => boolean): Promise<boolean> {
    const place = this.#grounds.placeOf(id)
    const incarnation = await this.#actor.incarnation
    return this.#grounds.inTurn({ place, id, needsValues: undefined }, async (ground) => {
      const { record, corrupt } = ground
      if (record === undefined || corrupt || !isExpected(record)) return false
      const gone = { before: record, after: undefined, isLost: false }
      const change = { ...place, id, ...gone, origin: 'handoff', coordinated: false } as const
      const derived = this.#derive(change, [...recordDeletes(place.key, ground)])
      // The key's next turn would read what is about to go. So may readers of the digest, until it is gone.
      const removal = this.#queueRemoval(derived, record, incarnation)
      await removal.finally(() => this.#parts.digests.forget(place.name))
      return true
    })
  }

  /** Counts a record for `recount`, in its turn. */
  look(key: Uint8Array, recount: Recount): Promise<void> {
    const name = keyText(key)
    const id = this.#layout.idOf(key)
    const wanted = { place: { key, name }, id, needsValues: undefined }
    return this.#grounds.inTurn(wanted, ({ record, corrupt }) => {
      const isThere = record !== undefined || corrupt
      recount.looked(name, id.type, isThere ? countsOf(id, record) : undefined)
    })
  }

  /** What deletes a record of a partition that is deleted as a whole. */
  dropOf(key: Uint8Array, record: RecordHead): readonly Operation[] {
    const id = this.#layout.idOf(key)
    const gone = { before: record, after: undefined, isLost: false } as const
    const change = { ...gone, id, key, name: keyText(key), origin: 'handoff', coordinated: false } as const
    return this.#derive(change, [{ type: 'del', key }]).operations
  }

  #queueRemoval({ operations, steps }: Derived, record: RecordHead, incarnation: Incarnation): Promise<void> {
    const { committer } = this.#parts
    if (!record.clock.has(incarnation.actor)) return committer.commit(operations, steps)
    incarnation.renew()
    const claim = incarnation.claim()
    const durable = committer.commit([...operations, ...claim.operations], steps)
    incarnation.granted(claim)
    return durable
  }

  #decide({ decision, incarnation }: Deciding, ground: Ground): Decided {
    const { id, seen, brought, isSettled, ifAlone, isClients, hintFor, origin, decide } = decision
    const { corrupt: overCorrupt } = ground
    const current = overCorrupt ? undefined : ground.record
    const twice = this.#actor.heedTwice(current, brought, incarnation)
    const renewed = overCorrupt || twice.isOurs || knowsMore(seen, current, incarnation)
    if (ifAlone && (renewed || !isExactly(current, seen))) return DECLINED
    if (renewed) {
      this.#parts.runtime.probe.mark('vnode.incarnation-renewed')
      incarnation.renew()
    }
    let claim: Claim | undefined = renewed ? incarnation.claim() : undefined
    const nextDot = () => {
      claim ??= incarnation.claim()
      return claim.dot
    }
    const record = decide(current, nextDot)
    if (record === current) {
      const durable = this.#hinted(ground, hintFor)
      return { record, changed: false, declined: false, overCorrupt, twice: twice.actors, durable }
    }
    assert(isWhole(record), 'a record that is written has all of its values')
    checkDisk(this.#parts.database, current, record)
    if (isClients) checkClock(record, current)
    this.#parts.clocks.saw(record, id)
    const { key, name, record: before } = ground
    const puts = recordPuts(
      { key, record, before: ground, isSettled: isSettled && record === brought },
      this.#parts,
    )
    if (isClients) checkRoom(this.#parts.recordBytes, puts, current)
    const coordinated = isClients === true
    const change = { id, key, name, before, after: record, isLost: isLost(ground), origin, coordinated }
    const derived = this.#derive(change, [...ground.orphans, ...puts.operations])
    for (const more of [this.#hints(key, hintFor), claim?.operations ?? NO_OPERATIONS])
      if (more.length > 0) derived.operations.push(...more)
    const durable = this.#queue(name, { record, puts }, derived)
    if (claim !== undefined) incarnation.granted(claim)
    return { record, changed: true, declined: false, overCorrupt, twice: twice.actors, durable }
  }

  #hints(key: Uint8Array, hintFor: readonly string[] | undefined): readonly Operation[] {
    return hintFor === undefined ? NO_OPERATIONS : this.#parts.hints.note(this.#layout, key, hintFor)
  }

  /** What was there already has been missed all the same. */
  #hinted({ key, durable }: Ground, hintFor: readonly string[] | undefined): Promise<void> {
    const operations = this.#hints(key, hintFor)
    if (operations.length === 0) return durable
    return Promise.all([durable, this.#parts.committer.commit(operations)]).then(() => {})
  }

  #queue(
    name: string,
    { record, puts }: { readonly record: StoredRecord; readonly puts: RecordPuts },
    { operations, steps }: Derived,
  ): Promise<void> {
    const { committer, order } = this.#parts
    const { bytes, bodyBytes, sheet } = puts
    return order.hold(name, { record, bytes, bodyBytes }, (onOver) =>
      committer.commit(operations, steps, { sheet, onOver }),
    )
  }

  /** What is written with a change, behind the operations that are given. */
  #derive(change: RecordChange, operations: Operation[]): Derived {
    const derived: Derived = { operations, steps: [] }
    for (const derivation of this.#parts.derivations()) derivation(change, this.#vnode, derived)
    return derived
  }
}
