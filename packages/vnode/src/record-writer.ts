import {
  type ActorId,
  EMPTY_RECORD,
  givenTwice,
  isRenamedIn,
  isWhole,
  type RecordHead,
  type StoredRecord,
} from '@atoll/causality'
import { assert, equalBytes, type KeyId, type Runtime } from '@atoll/core'
import type { ChangeLog } from './change-log.ts'
import { type ClockWatch, checkClock } from './clock-watch.ts'
import type { Committer } from './committer.ts'
import { countsOf } from './counts.ts'
import { readBytes } from './database.ts'
import { type Decided, type Decision, isExactly, knowsMore } from './decision.ts'
import type { Derivation, Derived, Indexing, RecordChange } from './derivation.ts'
import { isHeavy, keepValues, movedEnvelope, type StoredHead } from './envelope.ts'
import type { HeadDigests } from './head-digests.ts'
import type { Hints } from './hints.ts'
import { type Claim, Incarnation, type Lineage } from './incarnation.ts'
import { type IndexWhere, indexOperations } from './index-entry.ts'
import { NODE_INDEX } from './index-space.ts'
import type { KeyOrder } from './key-order.ts'
import { keyText } from './keys.ts'
import { olderKeyOf, type VnodeLayout } from './layout.ts'
import { orphanDeletes } from './orphans.ts'
import type { Database, Operation } from './ports.ts'
import { type RecordPut, type RecordPuts, recordDeletes, recordPuts } from './record-puts.ts'
import type { RecordReader } from './record-reader.ts'
import { checkDisk, checkRoom } from './record-room.ts'
import type { Recount } from './recount.ts'
import { seal, unseal } from './seal.ts'
import type { Sheets } from './sheets.ts'

/** What all vnodes of a host share. */
export interface WriterParts {
  readonly runtime: Runtime
  readonly database: Database
  readonly reader: RecordReader
  readonly committer: Committer
  readonly order: KeyOrder
  readonly digests: HeadDigests
  readonly hints: Hints
  readonly clocks: ClockWatch
  readonly recordBytes: number
  /** Values of more bytes lie apart from their head. */
  readonly inlineBytes: number
  /** Where small records are put together; undefined for a database that keeps the bytes that it is given. */
  readonly sheets: Sheets | undefined
  /** What is written together with every change of a record. */
  readonly derivations: () => readonly Derivation[]
  readonly indexing: Indexing
  /** Partitions of which index entries may lie in a range of their own. */
  readonly ownIndexes: ReadonlySet<number>
  /** Partitions of which heads may lie where builds before have put them. */
  readonly olderHeads: ReadonlySet<number>
  /** Asked when a vnode gives its first dot. */
  readonly lineage: () => Lineage
}

/** Where a record lies: the key, and the text by which maps know it. */
interface Place {
  readonly key: Uint8Array
  readonly name: string
}

/** What a decision starts from. */
interface Ground extends StoredHead, Place {
  /** When that is on disk. */
  readonly durable: Promise<void>
  /** Index entries of a record that cannot tell them any more. */
  readonly orphans: readonly Operation[]
}

/** An index entry in the range of a partition. */
export interface OwnEntry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** What became of a record that a build before has put elsewhere: it may have been written or deleted since. */
export type Converted = 'moved' | 'not there' | 'unreadable'

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

const NOT_TWICE = { actors: [], isOurs: false } as const

/** The write path of one vnode: read, decide, queue; one decision at a time for each key. */
export class RecordWriter {
  readonly #vnode: { readonly layout: VnodeLayout; changes: ChangeLog | undefined }
  readonly #layout: VnodeLayout
  readonly #parts: WriterParts
  #incarnation: Incarnation | undefined
  #loading: Promise<Incarnation> | undefined
  /** The actor of which the log says that it has given a dot twice. */
  #told: ActorId | undefined

  constructor(layout: VnodeLayout, parts: WriterParts) {
    this.#layout = layout
    this.#vnode = { layout, changes: undefined }
    this.#parts = parts
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
    this.#incarnation?.renew()
  }

  /** Reads what is there, decides and queues. */
  async update(decision: Decision): Promise<Decided> {
    const place = this.#placeOf(decision.id)
    const incarnation = this.#incarnation ?? (await this.#loadIncarnation())
    const { order } = this.#parts
    const turn = order.enter(place.name)
    if (turn !== undefined) await turn
    try {
      // With a pending record there is no pause from here to the queue: it cannot fail in between.
      const { id, needsValues } = decision
      const ground = this.#pendingGround(place) ?? (await this.#readGround(place, id, needsValues))
      return this.#decide(decision, ground, incarnation)
    } finally {
      order.leave(place.name)
    }
  }

  /**
   * The write-once way: whatever is there, which matters only to what is derived, so that a sound copy also heals a damaged
   * one. A large value is written from where it is, where the database can: it must not change any more.
   */
  overwrite(id: KeyId, record: StoredRecord, hintFor?: readonly string[]): Promise<Decided> {
    const place = this.#placeOf(id)
    return this.#parts.order.run(place.name, async () => {
      checkDisk(this.#parts.database, undefined, record)
      const ground = this.#pendingGround(place) ?? (await this.#readGround(place, id))
      const { key, name, record: before } = ground
      const puts = this.#puts({ key, record, before: ground, isSettled: true })
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

  /**
   * Deletes a record if it still is the expected one, and says whether; a change that is on its way counts. It must be
   * safe elsewhere. The vnode goes on as a new actor if the record knows it: its next event of the key must not seem to
   * follow on those that it has given away.
   */
  async remove(id: KeyId, isExpected: (record: RecordHead) => boolean): Promise<boolean> {
    const place = this.#placeOf(id)
    const incarnation = this.#incarnation ?? (await this.#loadIncarnation())
    return this.#parts.order.run(place.name, async () => {
      const ground = this.#pendingGround(place) ?? (await this.#readGround(place, id))
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
    return this.#parts.order.run(name, async () => {
      const place = { key, name }
      const { record, corrupt } = this.#pendingGround(place) ?? (await this.#readGround(place, id))
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

  /**
   * Brings the index entries of a record into the order of the node, of which some are in the range of the partition.
   * They are what the record says now. If it cannot say it any more, those that were found go as they are; if there is
   * none, they do not belong to anything.
   */
  async moveIndex(id: KeyId, entries: readonly OwnEntry[]): Promise<void> {
    const place = this.#placeOf(id)
    const durable = await this.#parts.order.run(place.name, async () => {
      const ground = this.#pendingGround(place) ?? (await this.#readGround(place, id))
      const { record } = ground
      const deletes = entries.map(
        ({ key, value }) => ({ type: 'del', key, replacesBytes: value.length }) as const,
      )
      const puts = indexOperations(
        { id, before: undefined, after: record },
        { ...this.#where, ...this.#parts.indexing },
      )
      const moved = isLost(ground) ? entries.flatMap((entry) => this.#moved(entry)) : []
      return { committed: this.#parts.committer.commit([...deletes, ...puts, ...moved]) }
    })
    await durable.committed
  }

  /**
   * Brings a record where this build keeps it, from where a build before has put it. The record stays the same, so
   * nothing is derived. It is the key's turn until that is on disk: who writes next reads what lies there then. What
   * the database cannot read stays.
   */
  convert(id: KeyId): Promise<Converted> {
    const { key, name } = this.#placeOf(id)
    const { committer, order, reader } = this.#parts
    return order.run(name, async () => {
      // What is on its way to the disk is written as it should be, and deletes what it replaces.
      if (order.pending(name) !== undefined) return 'not there'
      const row = await this.#readSettled(() => reader.row(key))
      if (row === 'unreadable') return row
      if (row === undefined || equalBytes(row[0], key)) return 'not there'
      await committer.commit(this.#conversionOf(key, row[1]))
      return 'moved'
    })
  }

  #conversionOf(key: Uint8Array, bytes: Uint8Array): readonly Operation[] {
    const { inlineBytes, reader, runtime } = this.#parts
    const older = olderKeyOf(key)
    const before = { bytes: bytes.length, bodyBytes: 0, isOlder: true }
    if (isHeavy(bytes, inlineBytes)) {
      const { record, corrupt, headOfBody } = reader.decode(older, bytes)
      if (record !== undefined && !corrupt && headOfBody === undefined && isWhole(record))
        return this.#puts({ key, record, before }).operations
    }
    const value = movedEnvelope(bytes, { from: older, to: key }, runtime.digest.crc32)
    return [{ type: 'put', key, value, replacesBytes: 0 }, ...recordDeletes(key, before)]
  }

  #moved({ key, value }: OwnEntry): readonly Operation[] {
    const { crc32 } = this.#parts.runtime.digest
    try {
      const to = NODE_INDEX.key(this.#layout.ownIndex.parse(key))
      return [{ type: 'put', key: to, value: seal(to, unseal(key, value, crc32), crc32) }]
    } catch {
      this.#parts.reader.tellCorruptEntry(key)
      return []
    }
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

  #decide(
    { id, seen, brought, isSettled, ifAlone, isClients, hintFor, origin, decide }: Decision,
    ground: Ground,
    incarnation: Incarnation,
  ): Decided {
    const { corrupt: overCorrupt } = ground
    const current = overCorrupt ? undefined : ground.record
    const twice = this.#heedTwice(current, brought, incarnation)
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
    const puts = this.#puts({ key, record, before: ground, isSettled: isSettled && record === brought })
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

  /**
   * Dots that stand for other writes here than in what is brought: their actors, and whether one is, or was, this
   * vnode's.
   */
  #heedTwice(
    current: RecordHead | undefined,
    brought: StoredRecord | undefined,
    { actor }: Incarnation,
  ): { readonly actors: readonly ActorId[]; readonly isOurs: boolean } {
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
    const { bytes, bodyBytes, sheet } = puts
    const durable = this.#parts.committer.commit(operations, steps, sheet)
    this.#parts.order.hold(name, { record, bytes, bodyBytes, durable })
    return durable
  }

  #placeOf(id: KeyId): Place {
    const key = this.#layout.dataKey(id)
    return { key, name: keyText(key) }
  }

  #puts(put: RecordPut): RecordPuts {
    return recordPuts(put, this.#parts)
  }

  /** What is written with a change, behind the operations that are given. */
  #derive(change: RecordChange, operations: Operation[]): Derived {
    const derived: Derived = { operations, steps: [] }
    for (const derivation of this.#parts.derivations()) derivation(change, this.#vnode, derived)
    return derived
  }

  get #where(): IndexWhere {
    const { ownIndexes } = this.#parts
    return { layout: this.#layout, hasOwn: ownIndexes.has(this.#layout.partition) }
  }

  #pendingGround(place: Place): Ground | undefined {
    const pending = this.#parts.order.pending(place.name)
    if (pending === undefined) return undefined
    this.#parts.runtime.probe.mark('vnode.write-on-pending')
    const { record, bytes, bodyBytes, durable } = pending
    const { key, name } = place
    keepValues(record)
    return { record, corrupt: false, bytes, bodyBytes, key, name, durable, orphans: NO_OPERATIONS }
  }

  /** What is read while a batch fails may not be what the database holds once it is sound again. */
  async #readGround({ key, name }: Place, id: KeyId, needsValues?: Decision['needsValues']): Promise<Ground> {
    const { committer, database, reader } = this.#parts
    for (;;) {
      if (!committer.isSettled) await committer.settle()
      const { failures } = committer
      const head = await reader.head(key)
      const isWanted =
        head.headOfBody !== undefined && head.record !== undefined && needsValues?.(head.record)
      const state = isWanted ? await this.#withValues(key, head) : head
      const orphans = isLost(state) ? await orphanDeletes(database, this.#where, id) : NO_OPERATIONS
      const { record, corrupt, bytes, bodyBytes, isOlder, headOfBody } = state
      if (committer.failures === failures)
        return {
          record,
          corrupt,
          bytes,
          bodyBytes,
          isOlder,
          headOfBody,
          key,
          name,
          durable: DURABLE,
          orphans,
        }
    }
  }

  /** As `readGround` reads, for who decides nothing. */
  async #readSettled<T>(read: () => Promise<T>): Promise<T> {
    const { committer } = this.#parts
    for (;;) {
      if (!committer.isSettled) await committer.settle()
      const { failures } = committer
      const found = await read()
      if (committer.failures === failures) return found
    }
  }

  /** Nobody else writes to the key meanwhile. Where the values are damaged, the head still tells what was there. */
  async #withValues(key: Uint8Array, head: StoredHead): Promise<StoredHead> {
    const { record, corrupt } = await this.#parts.reader.peek(key)
    return { ...head, record: record ?? head.record, corrupt }
  }

  #loadIncarnation(): Promise<Incarnation> {
    this.#loading ??= this.#readIncarnation().finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  async #readIncarnation(): Promise<Incarnation> {
    const { runtime, database } = this.#parts
    const key = this.#layout.incarnationKey
    const stored = await readBytes(database, key)
    const lineage = this.#parts.lineage()
    const parts = { key, random: runtime.random, crc32: runtime.digest.crc32, lineage }
    this.#incarnation = new Incarnation(parts, stored)
    return this.#incarnation
  }
}

/** Whether there is something of which nothing can be read. */
function isLost({ record, corrupt }: Pick<StoredHead, 'record' | 'corrupt'>): boolean {
  return corrupt && record === undefined
}
