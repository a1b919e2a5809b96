import { AtollError, KiB, MiB } from '@atoll/core'
import type { Applier } from './applier.ts'
import type { Others } from './others.ts'
import { DATA_PREFIX } from './pointer.ts'
import type { Files, InnerLevel, ValueLogRuntime } from './ports.ts'
import type { Readers } from './readers.ts'
import type { Room } from './room.ts'

export interface IndexCompactorContext {
  readonly runtime: ValueLogRuntime
  readonly inner: InnerLevel
  /** The directory of the inner database, if it is known. */
  readonly innerFiles: Pick<Files, 'usedBytes'> | undefined
  readonly applier: Applier
  readonly others: Others
  readonly readers: Readers
  readonly room: Room
}

/** Less is not worth it. */
const LEAST_GONE_BYTES = 4 * MiB
/** How much of the inner database must have gone before it is compacted. */
const GONE_SHARE = 1 / 2
/** How much is compacted at a time, about: as long as that takes, a thread that others need stands still. */
const STEP_BYTES = 8 * MiB
/** How many times as long it rests after each step, and while others use the disk. */
const REST = 1
const BUSY_REST = 15
/** A range that takes less holds little that could go. */
const LITTLE_BYTES = 256 * KiB
/** How often a range is compacted at most, one time after the other. */
const MOST_CALLS = 5
/** After how long it is looked again whether those have gone who may still read what was deleted. */
const READERS_MS = 100
/** How often a range is halved at most. */
const MOST_HALVINGS = 48
const BYTE_BITS = 8n

/** Keys from the first on, and below the other. */
interface KeyRange {
  readonly from: Uint8Array
  readonly to: Uint8Array
}

const ALL_KEYS: KeyRange = { from: Uint8Array.of(DATA_PREFIX), to: Uint8Array.of(DATA_PREFIX + 1) }

/**
 * Gives back what lies dead in the inner database. LevelDB drops what was deleted when it merges it with something newer:
 * by itself it leaves most of it for as long as little is written. So when half of what it takes has gone out of use, as
 * far as writers have said, it is told to compact all keys, by ranges of a few MiB, with rests between them.
 *
 * LevelDB decides how many levels it compacts when it is told to, before it has written its memory to a table and has
 * finished what it is at. If a compaction of its own puts a table below these levels meanwhile, deletions come to rest
 * above values, and nothing moves either (DBImpl::CompactRange of LevelDB 1.20; seen in its LOG). The next call finds that
 * level. So a range is compacted until that makes it no smaller.
 *
 * What an open iterator or snapshot may still read LevelDB keeps, and takes down to the last level, where no call comes. So
 * each step waits until those have gone who began before it.
 */
export class IndexCompactor {
  readonly #context: IndexCompactorContext
  readonly #stopping = new AbortController()
  #running: Promise<void> | undefined

  constructor(context: IndexCompactorContext) {
    this.#context = context
  }

  /** Compacts in the background if it is worth it. */
  kick(): void {
    if (this.#stopping.signal.aborted || this.#context.applier.goneBytes < LEAST_GONE_BYTES) return
    this.#running ??= this.#runQuietly().finally(() => {
      this.#running = undefined
    })
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new AtollError('ATOLL_CLOSED', 'the value log is closing'))
    await this.#running
  }

  async #runQuietly(): Promise<void> {
    const { runtime, applier, innerFiles } = this.#context
    const { goneBytes } = applier
    try {
      const usedBytes = (await innerFiles?.usedBytes?.()) ?? Number.POSITIVE_INFINITY
      if (goneBytes < usedBytes * GONE_SHARE) return
      if (!(await this.#compact(ALL_KEYS, 0))) return
      applier.goneBytes -= goneBytes
      runtime.metrics.count('atoll_value_log_index_compactions_total')
    } catch (error) {
      const what = 'the inner database could not be compacted'
      if (!this.#stopping.signal.aborted) runtime.log.warn({ err: error }, what)
    }
  }

  /** From the first key on, in steps. False if there is too little room to go on: new tables come before old ones go. */
  async #compact(range: KeyRange, halvings: number): Promise<boolean> {
    const { room } = this.#context
    this.#stopping.signal.throwIfAborted()
    if (!room.isEnough()) return false
    const { from, to } = range
    const bytes = await this.#bytesOf(range)
    if (bytes === 0) return true
    const middle = bytes > STEP_BYTES && halvings < MOST_HALVINGS ? middleOf(range) : undefined
    if (middle === undefined) {
      await this.#step(range)
      return true
    }
    const isDone = await this.#compact({ from, to: middle }, halvings + 1)
    return isDone && this.#compact({ from: middle, to }, halvings + 1)
  }

  /** At least twice, unless little is left: what the first call could not know of the second one finds. */
  async #step(range: KeyRange): Promise<void> {
    let before = Number.POSITIVE_INFINITY
    for (let call = 0; call < MOST_CALLS; call++) {
      await this.#untilReadersHaveGone()
      await this.#call(range)
      const after = await this.#bytesOf(range)
      if (after <= LITTLE_BYTES || after >= before) return
      before = after
    }
  }

  async #call({ from, to }: KeyRange): Promise<void> {
    const { inner, others, runtime } = this.#context
    const startMs = runtime.clock.monotonicMs()
    await inner.compactRange?.(from, to, { keyEncoding: 'view' })
    const tookMs = runtime.clock.monotonicMs() - startMs
    const rest = others.areBusy() ? BUSY_REST : REST
    await runtime.clock.sleep(rest * tookMs, { signal: this.#stopping.signal })
  }

  async #bytesOf({ from, to }: KeyRange): Promise<number> {
    return (await this.#context.inner.approximateSize?.(from, to, { keyEncoding: 'view' })) ?? 0
  }

  async #untilReadersHaveGone(): Promise<void> {
    const { readers, runtime } = this.#context
    const { signal } = this.#stopping
    const { next } = readers
    while (readers.oldest < next) await runtime.clock.sleep(READERS_MS, { signal })
  }
}

/** A key half-way between two, if there is one: keys are read as fractions, of eight bytes behind what both begin with. */
function middleOf({ from, to }: KeyRange): Uint8Array | undefined {
  let common = 0
  while (common < from.length && from[common] === to[common]) common += 1
  const width = common + 8
  const [low, high] = [fractionOf(from, width), fractionOf(to, width)]
  const middle = (low + high) / 2n
  return middle > low ? bytesOf(middle, width) : undefined
}

function fractionOf(key: Uint8Array, width: number): bigint {
  let fraction = 0n
  for (let at = 0; at < width; at++) fraction = (fraction << BYTE_BITS) | BigInt(key[at] ?? 0)
  return fraction
}

function bytesOf(fraction: bigint, width: number): Uint8Array {
  const bytes = new Uint8Array(width)
  let rest = fraction
  for (let at = width - 1; at >= 0; at--) {
    bytes[at] = Number(rest & 0xffn)
    rest >>= BYTE_BITS
  }
  return bytes
}
