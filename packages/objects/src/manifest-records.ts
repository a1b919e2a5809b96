import {
  AtollError,
  behindWrite,
  decodeWith,
  encodeWith,
  isAtollError,
  type KeyId,
  keyText,
  MiB,
  type Runtime,
  SECOND_MS,
} from '@atoll/core'
import { historyCodec } from './codec.ts'
import {
  type History,
  isEmpty,
  joinHistories,
  NO_HISTORY,
  needsGuard,
  visibleOf,
  withoutProofs,
} from './history.ts'
import { indexesOf } from './history-indexes.ts'
import { KeyTurns } from './key-turns.ts'
import { Line, waitedTooLong } from './line.ts'
import type { Manifest } from './manifest.ts'
import type { ObjectStoreSettings } from './options.ts'
import type { KvGetOptions, KvStore, KvStoreValue, KvStoreWrite, KvStoreWritten } from './ports.ts'
import type { ReadQuorumOptions, WriteQuorumOptions } from './quorums.ts'
import { type Seat, WriteGroups } from './write-groups.ts'

/** Whoever writes last sees all: more rounds are needed only where others write at the same time. */
export const REWRITE_ROUNDS = 16
/**
 * From this round on there is a pause before the next one, so that a replica that is behind can be healed, and one that
 * hands its records to a further holder can get that decided. It is doubled from round to round, with full jitter.
 */
const PATIENT_ROUND = 4
const PAUSE_MS = 20
/** All rounds together: 3.6 s at most, and half of that in the mean. */
const MAX_PAUSE_MS = 500
/** Changes of records that wait for each other at this node. */
const MAX_TURNS = 10_000
/** What clients wait for at the same time: records that are read, uploads that are announced. */
const MAX_READING = 512
const MAX_ANNOUNCING = 512
/** And records that are written, if bodies in them are of at most 64 KiB. */
const MAX_WRITING = 512
/** Of bodies in records that are written, at most. */
const MAX_WRITING_BYTES = 32 * MiB
/** How long a client waits for its turn, unless a call says how long its requests may take. */
const PATIENCE_MS = 30 * SECOND_MS

const NOTHING_TO_DO = Promise.resolve()

/** What a writer knows of a record. */
export interface Known {
  readonly history: History
  /** Covers that; undefined for nothing. */
  readonly context: Uint8Array | undefined
}

/** A change of a record that is read before, and again if the write met something else. */
export interface Change {
  /** Answers its argument if there is nothing to change; then the siblings are joined at most. */
  readonly change: (history: History) => History
  /** The upload that the writer answers for. */
  readonly own?: string | undefined
  /** A read that was just made. */
  readonly known?: HistoryRead | undefined
  /**
   * Rather does nothing than write without a guard. For changes that nobody waits for, and that would bring back what
   * others have cleared away if they came late.
   */
  readonly strict?: boolean
  readonly quorum?: WriteQuorumOptions
  /** For the reads before and after. */
  readonly reading?: ReadQuorumOptions
  /** Whether a client waits for it, who takes its turn among the others. */
  readonly isInLine?: boolean
}

export interface Over extends Required<Pick<Change, 'strict' | 'quorum'>> {
  readonly own: string | undefined
  /** Counted from 0. */
  readonly round: number
}

/** For writers that have not looked. */
export const NOTHING_KNOWN: Known = { history: NO_HISTORY, context: undefined }

export interface HistoryRead extends Known {
  /** The values that lie beside each other, of which `history` is the join. */
  readonly siblings: readonly History[]
  /** True if the index may still show a version that is not visible any more, because of a sibling. */
  readonly listedInVain: boolean
}

/**
 * The manifest records: one for each object, under the object's own name. A manifest in state `writing`, with a lease,
 * is the proof that no collection has decided against the upload. Who may write one: the upload itself, before its
 * first block; and whoever has read one, on condition that the record is unchanged at a primary (`ifUnchanged: 'one'`).
 * A collection decides against an upload by a write on condition that it is unchanged at every primary (`'all'`), and
 * only then deletes blocks. An upload becomes a version by a write with `'one'` over its proof. At each primary one of
 * the two comes first, and the other one learns of it; no clock and no lease has a say in that.
 */
export class ManifestRecords {
  readonly #runtime: Pick<Runtime, 'clock' | 'random'>
  readonly #kv: KvStore
  readonly #turns = new KeyTurns(MAX_TURNS)
  readonly #announcements: WriteGroups<Manifest, Known | undefined>
  readonly #reading: Line
  /** Who has the turn of a key waits here, and nobody in here waits for the turn of a key. */
  readonly #writing: Line
  /** By itself, so that an upload which has begun need not wait for those that come later. */
  readonly #announcing: Line

  constructor(
    runtime: Pick<Runtime, 'clock' | 'random'>,
    kv: KvStore,
    { inlineBytes }: Pick<ObjectStoreSettings, 'inlineBytes'>,
  ) {
    this.#runtime = runtime
    this.#kv = kv
    const { clock } = runtime
    this.#announcements = new WriteGroups(this.#turns, clock)
    const mostBodies = Math.floor(MAX_WRITING_BYTES / Math.max(1, inlineBytes))
    this.#reading = new Line(clock, MAX_READING)
    this.#writing = new Line(clock, Math.min(MAX_WRITING, mostBodies))
    this.#announcing = new Line(clock, MAX_ANNOUNCING)
  }

  /**
   * For a client that reads: where there is no visible version, it is certain that there is none. Throws `ATOLL_OVERLOADED`
   * as `inLine`.
   */
  readVisible(id: KeyId, options: KvGetOptions = {}): Promise<HistoryRead> {
    const shows: KvGetOptions['shows'] = (values) => visibleOf(joined(historiesOf(values))) !== undefined
    // Nearly always there is a signal at most: to spread an object costs more than to make one.
    const isPlain = Object.keys(options).every((name) => name === 'signal')
    const asked = isPlain ? { signal: options.signal, shows } : { ...options, shows }
    return this.#reading.run(options.timeoutMs ?? PATIENCE_MS, () => this.read(id, asked))
  }

  async read(id: KeyId, options: KvGetOptions = {}): Promise<HistoryRead> {
    const read = await this.#kv.get(id, options)
    const histories = historiesOf(read.values)
    const history = joined(histories)
    const hidden = histories.length > 1 && visibleOf(history) === undefined
    return {
      history,
      get context() {
        return read.context
      },
      siblings: histories,
      listedInVain: hidden && histories.some((sibling) => visibleOf(sibling) !== undefined),
    }
  }

  /** Replaces what is known. */
  write(
    id: KeyId,
    { history, context }: Known,
    condition: Pick<KvStoreWrite, 'ifAlone' | 'ifUnchanged'>,
    quorum: WriteQuorumOptions = {},
  ): Promise<KvStoreWritten> {
    const value = encodeWith(historyCodec, history)
    return this.#kv.put(id, { value, indexes: indexesOf(id, history), context, ...condition }, quorum)
  }

  /**
   * Announces an upload: where nothing is known of the object at once, and otherwise upon what a read finds, or beside it if
   * that cannot be. Answers what is known now, which is nothing unless that is all that there is. Uploads that wait for each
   * other are announced together.
   */
  announce(id: KeyId, manifest: Manifest): Promise<Known | undefined> {
    return this.#announcements.join({
      key: turnOf(id),
      kind: () => `announcements ${id.type}`,
      value: manifest,
      run: (seats) =>
        this.#seatsIn({ line: this.#announcing, patienceMs: PATIENCE_MS }, seats, async (present) => {
          const manifests = present.map(({ value }) => value)
          const known = await this.#announce(id, manifests)
          for (const seat of present) seat.resolve(known)
        }),
    })
  }

  async #announce(id: KeyId, manifests: readonly Manifest[]): Promise<Known | undefined> {
    const notes = withManifests(NO_HISTORY, manifests)
    const blind = await this.write(id, { history: notes, context: undefined }, { ifAlone: true })
    if (blind.accepted > 0) return blind.alone ? { history: notes, context: blind.context } : undefined
    const { history: before, context } = await this.read(id)
    const history = withManifests(before, manifests)
    const upon = await unlessRefused(this.write(id, { history, context }, { ifUnchanged: 'one' }))
    if (upon.accepted > 0) return upon.alone ? { history, context: upon.context } : undefined
    await this.write(id, { history: notes, context: undefined }, {})
    return undefined
  }

  /**
   * Changes a record, until a read shows it done and no siblings left. So of several that write at once the last one sees
   * what the others wrote, and no sibling keeps an index entry alive of a version that is gone. The change, applied again,
   * changes nothing. Answers the read that shows it done; undefined if others have gone on behind every one of its writes.
   */
  rewrite(id: KeyId, change: Change): Promise<HistoryRead | undefined> {
    const task = () => this.#rewrite(id, change)
    const { isInLine = false, quorum = {} } = change
    if (!isInLine) return this.inTurn(id, task)
    const { timeoutMs = PATIENCE_MS } = quorum
    const sinceMs = this.#runtime.clock.monotonicMs()
    return this.inTurn(id, () => this.#writing.run(timeoutMs, task, sinceMs))
  }

  /**
   * Decides against the uploads that a history calls deleted: from then on none of them can become a version. False if it is
   * not decided, because a primary does not answer, or has heard of something else.
   */
  async decide(id: KeyId, known: Known): Promise<boolean> {
    const { accepted, alone } = await this.write(id, known, { ifUnchanged: 'all' })
    return accepted > 0 && alone
  }

  /** Those who change a record on condition, one after the other: they would decline each other. */
  inTurn<T>(id: KeyId, task: () => Promise<T>): Promise<T> {
    return this.#turns.run(turnOf(id), task)
  }

  /**
   * Writes for clients, who have the turn of the record: who comes first begins first, and is answered before the last ones
   * have begun. Throws `ATOLL_OVERLOADED`, and nothing is begun, where that would take longer than the clients wait for any
   * answer, the wait for the turn included. Those of them who have waited for too long when it begins are refused alone.
   */
  inLine<Value, Result>(
    { timeoutMs = PATIENCE_MS }: WriteQuorumOptions,
    seats: readonly Seat<Value, Result>[],
    task: (present: readonly Seat<Value, Result>[]) => Promise<void>,
  ): Promise<void> {
    return this.#seatsIn({ line: this.#writing, patienceMs: timeoutMs }, seats, task)
  }

  /** As long as the last one has patience: the others would be told hardly sooner. */
  #seatsIn<Value, Result>(
    { line, patienceMs }: { readonly line: Line; readonly patienceMs: number },
    seats: readonly Seat<Value, Result>[],
    task: (present: readonly Seat<Value, Result>[]) => Promise<void>,
  ): Promise<void> {
    const begin = () => {
      const present = seats.filter((seat) => !this.#isLate(seat, patienceMs))
      return present.length > 0 ? task(present) : NOTHING_TO_DO
    }
    return line.run(patienceMs, begin, seats.at(-1)?.sinceMs)
  }

  /** Refuses one that has waited for too long. */
  #isLate<Value, Result>(seat: Seat<Value, Result>, patienceMs: number): boolean {
    if (seat.sinceMs === undefined) return false
    const waitedMs = this.#runtime.clock.monotonicMs() - seat.sinceMs
    if (waitedMs < patienceMs) return false
    seat.reject(waitedTooLong(waitedMs, patienceMs))
    return true
  }

  /** Groups of those who write a record, which take turns with those who change it. */
  groups<Value, Result>(): WriteGroups<Value, Result> {
    return new WriteGroups(this.#turns, this.#runtime.clock)
  }

  /** Whether a change of the record is under way at this node. */
  isBusy(id: KeyId): boolean {
    return this.#turns.isBusy(turnOf(id))
  }

  async #rewrite(id: KeyId, change: Change): Promise<HistoryRead | undefined> {
    let isWritten = false
    for (let round = 0; round < REWRITE_ROUNDS; round++) {
      const step = () => this.#rewriteOnce(id, change, round)
      const outcome = await (isWritten ? behindWrite(step) : step())
      if (outcome === 'written') isWritten = true
      else if (outcome === 'declined') await this.pause(round)
      else return outcome
    }
    if (!isWritten) throw crowded()
    return undefined
  }

  /** Answers what was read if there is nothing left to do. */
  async #rewriteOnce(
    id: KeyId,
    { change, own, known, strict = false, quorum = {}, reading = {} }: Change,
    round: number,
  ): Promise<HistoryRead | 'written' | 'declined'> {
    const read = (round === 0 ? known : undefined) ?? (await this.read(id, reading))
    const { history, context, siblings } = read
    if (siblings.length === 0) return read
    const changed = change(history)
    if (changed === history && siblings.length === 1) return read
    if (isEmpty(changed)) {
      // A record with nothing in it is deleted: that takes away no more than the context covers.
      await this.#kv.delete(id, { ...quorum, context })
      return 'written'
    }
    const { accepted } = await this.over(id, { history: changed, context }, { own, strict, round, quorum })
    return accepted > 0 ? 'written' : 'declined'
  }

  /** Before the round after this one. */
  async pause(round: number): Promise<void> {
    if (round < PATIENT_ROUND) return
    const ceilingMs = Math.min(MAX_PAUSE_MS, PAUSE_MS * 2 ** (round - PATIENT_ROUND))
    await this.#runtime.clock.sleep(1 + this.#runtime.random.below(ceilingMs))
  }

  /**
   * Writes over what was read, with a guard where one is needed: declines if the record has changed since. Of the last
   * round, or where no primary can be reached, what may go without a guard goes without.
   */
  async over(id: KeyId, known: Known, { own, strict, round, quorum }: Over): Promise<KvStoreWritten> {
    const { history, context } = known
    if (!strict && !needsGuard(history, own)) return this.write(id, known, {}, quorum)
    const isLast = round === REWRITE_ROUNDS - 1
    const bare = withoutProofs(history, own)
    const mayGoBare = !strict && !needsGuard(bare, own)
    const writing = this.write(id, known, { ifUnchanged: 'one' }, quorum)
    const written: Tried = await (mayGoBare ? unlessRefused(writing) : writing)
    if (written.accepted > 0 || !mayGoBare || !(isLast || written.refused)) return written
    return this.write(id, { history: bare, context }, {}, quorum)
  }
}

/** Others have changed the record whenever it was about to be written. */
export function crowded(): AtollError {
  return new AtollError(
    'ATOLL_OVERLOADED',
    `others have changed the object, or its record is being copied to more replicas: it could not be written in ${REWRITE_ROUNDS} tries`,
  )
}

interface Tried extends KvStoreWritten {
  readonly refused?: boolean
}

/** A write that certainly did not happen, for want of replicas, as one that was declined. */
async function unlessRefused(writing: Promise<KvStoreWritten>): Promise<Tried> {
  try {
    return await writing
  } catch (error) {
    if (!isAtollError(error) || !error.definite) throw error
    return { accepted: 0, primaries: 0, context: undefined, alone: false, refused: true }
  }
}

export function withManifests(history: History, added: readonly Manifest[]): History {
  const manifests = new Map(history.manifests)
  for (const manifest of added) manifests.set(manifest.uuid, manifest)
  return { ...history, manifests }
}

/** The name of a record among those whose writers take turns. */
export function turnOf({ bucket, key }: KeyId): string {
  return `${bucket.length} ${keyText(bucket)}${keyText(key)}`
}

function historiesOf(values: readonly KvStoreValue[]): readonly History[] {
  return values.map(({ value }) => decodeWith(historyCodec, value))
}

function joined(histories: readonly History[]): History {
  return histories.length === 1 ? (histories[0] ?? NO_HISTORY) : histories.reduce(joinHistories, NO_HISTORY)
}
