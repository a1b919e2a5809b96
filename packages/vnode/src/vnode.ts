import {
  headDigest,
  isUndecided,
  isWhole,
  keepsValues,
  type MergePolicy,
  mergeBrought,
  type RecordHead,
  recordsEqual,
  type StoredRecord,
  writeOnceRecord,
  writeRecord,
} from '@atoll/causality'
import { AtollError, assert, type KeyId, storageFailure, wallTimeOf } from '@atoll/core'
import { ChangeLog } from './change-log.ts'
import type { Counts } from './counts.ts'
import { BINARY } from './database.ts'
import type { Decided, Decision } from './decision.ts'
import type { Origin } from './derivation.ts'
import { dropRecords } from './drop.ts'
import type { Holdings } from './holdings.ts'
import { keyText } from './keys.ts'
import { VnodeLayout } from './layout.ts'
import type { Operation } from './ports.ts'
import {
  type CoordinateReply,
  type CoordinateRequest,
  type GetReply,
  MAX_TWICE,
  type OnDecided,
  type PutReply,
  type PutRequest,
} from './protocol.ts'
import type { Converted, OwnEntry } from './record-moves.ts'
import { RecordWriter } from './record-writer.ts'
import type { Recount } from './recount.ts'
import { type Group, UnderWay } from './under-way.ts'
import type { WriterParts } from './writer-parts.ts'

export interface VnodeParts extends WriterParts {
  readonly holdings: Holdings
  readonly policyOf: (type: string) => MergePolicy
}

type Put = Omit<PutRequest, 'partition'>

/** A write on its way: how it is decided, who hears when it is queued, and what is answered when it is on disk. */
interface Writing<T> {
  readonly decide: () => Decided | Promise<Decided>
  readonly onAccepted: ((decided: Decided) => void) | undefined
  readonly reply: (decided: Decided) => T
}

const CLIENTS = { isClients: true, origin: 'client' } as const

/** One partition of the ring on one node. */
export class Vnode {
  readonly #parts: VnodeParts
  readonly #partition: number
  readonly #layout: VnodeLayout
  readonly #writer: RecordWriter
  readonly #underWay = new UnderWay()
  #dropping = false

  constructor(partition: number, parts: VnodeParts) {
    this.#parts = parts
    this.#partition = partition
    this.#layout = new VnodeLayout(partition)
    this.#writer = new RecordWriter(this.#layout, parts)
  }

  /** Answers what is durable. A write of the key that is on its way to the disk is waited for, not overlooked. */
  async get(id: KeyId): Promise<GetReply> {
    const { order, reader } = this.#parts
    const key = this.#layout.dataKey(id)
    const pending = order.isEmpty ? undefined : order.pending(keyText(key))
    if (pending !== undefined) await pending.durable.catch(() => {})
    return reader.read(key)
  }

  /** As `get`, without values that lie apart from the head. */
  async head(id: KeyId): Promise<RecordHead | undefined> {
    const { order, reader } = this.#parts
    const key = this.#layout.dataKey(id)
    const pending = order.isEmpty ? undefined : order.pending(keyText(key))
    if (pending !== undefined) await pending.durable.catch(() => {})
    const { record, corrupt } = await reader.head(key)
    return corrupt ? undefined : record
  }

  /** As `get`, with the digest of the record (`headDigest`) in its place. One that is known is not read anew. */
  async digest(id: KeyId): Promise<GetReply> {
    const { digests, order, reader, runtime } = this.#parts
    const key = this.#layout.dataKey(id)
    const name = keyText(key)
    const pending = order.pending(name)
    if (pending !== undefined) await pending.durable.catch(() => {})
    const known = digests.get(name)
    if (known !== undefined) return { record: undefined, corrupt: false, digest: known }
    const slot = digests.reading(name)
    const { record, corrupt } = await reader.peek(key)
    if (corrupt || record === undefined) return { record: undefined, corrupt }
    const digest = headDigest(record, runtime.digest.sha1)
    digests.fill(slot, digest)
    return { record: undefined, corrupt, digest }
  }

  /** `onAccepted` is called when the write is queued; the promise resolves when it is on disk. */
  put(put: Put, onAccepted?: () => void): Promise<PutReply> {
    const { id, record, isFresh, hintFor } = put
    if (!isFresh || this.#parts.policyOf(id.type).kind !== 'write-once')
      return this.merge(put, 'replica', onAccepted)
    // The database has written the values, or has copies of them; whoever built on the record meanwhile has kept them.
    const reply = ({ changed }: Decided) => ({ changed, released: true })
    return this.#write({ decide: () => this.#writer.overwrite(id, record, hintFor), onAccepted, reply })
  }

  /**
   * As `put` of a record that is not fresh: reads what is there also if the type is write-once, for it may be a deletion
   * that the record is older than.
   */
  merge(
    { id, record, tellAlone, tellTwice, hintFor }: Put,
    origin: Origin,
    onAccepted?: () => void,
  ): Promise<PutReply> {
    const policy = this.#parts.policyOf(id.type)
    const decide = (current: RecordHead | undefined) =>
      current === undefined ? record : mergeBrought(policy, current, record)
    const needsValues = (current: RecordHead) => {
      if (policy.kind === 'write-once') return isUndecided(current, record)
      const merged = mergeBrought(policy, current, record)
      // Where nothing is added, what is brought may be there to heal values that are damaged.
      return merged === current || !isWhole(merged)
    }
    const brought = { seen: record.clock, brought: record, isSettled: origin === 'handoff' }
    const decision = { id, ...brought, hintFor, origin, needsValues, decide }
    const reply = (decided: Decided): PutReply => {
      const { changed, twice } = decided
      const told = tellAlone ? { changed, alone: isAlone(decided, record) } : { changed }
      return tellTwice && twice.length > 0 ? { ...told, twice: twice.slice(0, MAX_TWICE) } : told
    }
    return this.#write({ decide: () => this.#writer.update(decision), onAccepted, reply })
  }

  /** Deletes a record that is safe elsewhere, if it still is the expected one; says whether. */
  remove(id: KeyId, isExpected: (record: RecordHead) => boolean): Promise<boolean> {
    const { holdings } = this.#parts
    holdings.shrinking(this.#partition)
    const removing = this.#track(() => this.#writer.remove(id, isExpected))
    return removing.finally(() => holdings.shrinking(this.#partition))
  }

  /** Brings index entries of a record into the order of the node (see `RecordMoves`); resolves when they are on disk. */
  moveIndex(id: KeyId, entries: readonly OwnEntry[]): Promise<void> {
    return this.#track(() => this.#writer.moves.moveIndex(id, entries))
  }

  /** Brings a record where this build keeps it (see `RecordMoves`); resolves when it is on disk there. */
  convert(id: KeyId): Promise<Converted> {
    return this.#track(() => this.#writer.moves.convert(id))
  }

  /** Counts a record, in turn with its writes. */
  look(key: Uint8Array, recount: Recount): Promise<void> {
    return this.#track(() => this.#writer.look(key, recount))
  }

  /**
   * The vnode has what was counted, as of what is queued by now; resolves when that is on disk. Throws `ATOLL_OVERLOADED`
   * while nobody knows what the database holds, since a batch has failed.
   */
  counted(counts: ReadonlyMap<string, Counts>): Promise<void> {
    const step = { kind: 'set', partition: this.#partition, counts: new Map(counts) } as const
    const { committer } = this.#parts
    return this.#track(() => {
      if (committer.isSettled) return committer.commit([], [step])
      const message = `a batch failed while the records of partition ${this.#partition} were counted`
      throw new AtollError('ATOLL_OVERLOADED', message, { definite: true, transient: true })
    })
  }

  /** The log of changes, while there is one. */
  get changes(): ChangeLog | undefined {
    return this.#writer.changes
  }

  /** From now on changes are noted. */
  startNoting(): void {
    this.#writer.changes ??= new ChangeLog(this.#layout)
  }

  stopNoting(): void {
    this.#writer.changes = undefined
  }

  /** Notes that holders miss the record of a key; resolves when that is on disk. */
  hint(id: KeyId, hintFor: readonly string[]): Promise<void> {
    return this.#track(() => this.#writer.hint(id, hintFor))
  }

  /** As `hint`, of all records. */
  owe(node: string): Promise<void> {
    return this.#track(() => this.#writer.owe(node))
  }

  /** `onDecided` is called with the result when that is queued, before it is on the disk, if there is one. */
  coordinate(
    { id, context, ifAlone = false, hintFor, ...rest }: CoordinateRequest,
    onDecided?: OnDecided,
  ): Promise<CoordinateReply> {
    const { policyOf, runtime, database } = this.#parts
    const policy = policyOf(id.type)
    const wallMs = wallTimeOf(runtime.clock)
    const write = { content: rest.content, valueCrc32: rest.valueCrc32, writeId: rest.writeId, context }
    const decide: Decision['decide'] = (current, nextDot) =>
      writeRecord({ policy, current, write, dot: nextDot(), wallMs })
    return this.#write({
      decide:
        policy.kind === 'write-once'
          ? () => {
              const record = writeOnceRecord(write.content, write.valueCrc32, write.writeId)
              return this.#writer.overwrite(id, record, hintFor)
            }
          : () => {
              const needsValues = (current: RecordHead) => keepsValues(current, { policy, write })
              const seen = context?.vector
              const decision = { id, seen, ifAlone, ...CLIENTS, hintFor, needsValues, decide }
              return this.#writer.update(decision)
            },
      // Where there is no disk to wait for, it is told together with others of its batch, which costs less.
      onAccepted:
        onDecided && database.supports.permanence ? (decided) => tellDecided(decided, onDecided) : undefined,
      reply: ({ record, declined }) => {
        assert(isWhole(record), 'what a client has written is answered with its values')
        return { record, declined }
      },
    })
  }

  /** A batch has failed: the vnode goes on as a new actor. */
  renew(): void {
    this.#writer.renew()
  }

  /** Resolves when the writes of this moment are over, one way or the other. */
  idle(): Promise<void> {
    return this.#underWay.idle()
  }

  /** What a look finds while nothing is written, and all that was is known; undefined if it cannot say that. */
  async quietly<T>(look: () => Promise<T>): Promise<T | undefined> {
    const { committer } = this.#parts
    const { failures } = committer
    const found = await this.#underWay.quietly(look)
    const isKnown = committer.isSettled && committer.failures === failures && !this.#dropping
    return isKnown ? found : undefined
  }

  /** Nobody knows what the vnode has, until it is counted anew; resolves when that is on disk. */
  forgetCounts(): Promise<void> {
    const step = { kind: 'forget', partition: this.#partition } as const
    return this.#track(() => this.#parts.committer.commit([], [step]))
  }

  /**
   * Deletes everything, and is not to be used thereafter. The actor goes first and durably: a vnode that has lost a
   * part of its data must not go on as who it was.
   */
  async drop(): Promise<void> {
    this.#dropping = true
    await this.idle()
    const { committer, database, olderHeads, ownIndexes, reader } = this.#parts
    const forget: Operation = { type: 'del', key: this.#layout.incarnationKey }
    const partition = this.#partition
    await committer.commit([forget], [{ kind: 'forget', partition }])
    try {
      await database.clear({ ...BINARY, ...this.#layout.noteRange })
      const where = { layout: this.#layout, hasOwn: ownIndexes.has(this.#partition) }
      const deletesOf = (key: Uint8Array, record: RecordHead) => this.#writer.dropOf(key, record)
      await dropRecords({ database, reader, where, hasOlder: olderHeads.has(partition), deletesOf })
    } catch (cause) {
      throw storageFailure('the database failed to delete a partition', cause)
    }
    // A synced batch makes durable what was deleted before it, too.
    await committer.commit([forget], [{ kind: 'set', partition, counts: new Map() }])
    this.#parts.holdings.shrinking(this.#partition)
  }

  /** One that is decided upon at once is queued when this returns. */
  async #write<T>({ decide, onAccepted, reply }: Writing<T>): Promise<T> {
    const group = this.#begin()
    try {
      const deciding = decide()
      const decided = deciding instanceof Promise ? await deciding : deciding
      try {
        onAccepted?.(decided)
      } catch (error) {
        // Nobody waits for the batch then.
        decided.durable.catch(() => {})
        throw error
      }
      await decided.durable
      return reply(decided)
    } finally {
      this.#end(group)
    }
  }

  async #track<T>(task: () => Promise<T>): Promise<T> {
    const group = this.#begin()
    try {
      return await task()
    } finally {
      this.#end(group)
    }
  }

  #begin(): Group {
    if (this.#dropping) {
      throw new AtollError('ATOLL_CLOSED', 'the partition is being deleted', { transient: true })
    }
    this.#parts.holdings.growing(this.#partition)
    return this.#underWay.enter()
  }

  #end(group: Group): void {
    this.#underWay.leave(group)
    this.#parts.holdings.growing(this.#partition)
  }
}

function tellDecided({ record, changed }: Decided, onDecided: OnDecided): void {
  if (changed && isWhole(record)) onDecided(record)
}

/** Whether nothing is known but what the record says: that it is all there is after merging it, and was no guess. */
function isAlone({ record: result, overCorrupt }: Decided, record: StoredRecord): boolean {
  return !overCorrupt && recordsEqual(result, record)
}
