import { type Checkpoint, encodeCheckpoint } from './checkpoint.ts'
import { isFenced, writeInner } from './inner-writes.ts'
import type { Log } from './log.ts'
import { ABOVE_ALL_KEYS, CHECKPOINT_KEY } from './pointer.ts'
import { BYTES, type InnerLevel, type ValueLogRuntime } from './ports.ts'
import type { Readers } from './readers.ts'
import type { Segments } from './segments.ts'
import { storing } from './storage-error.ts'

/** Makes durable what was applied to the inner database. */
export async function settleInner(inner: InnerLevel): Promise<void> {
  // LevelDB leaves a log behind without syncing it when it starts the next one; only a compaction, here of a range
  // above all keys, makes sure that what it holds is in synced tables.
  if (inner.supports.additionalMethods['compactRange'] !== true) return
  await storing('settling the inner database', async () =>
    inner.compactRange?.(ABOVE_ALL_KEYS, ABOVE_ALL_KEYS, { keyEncoding: 'view' }),
  )
}

/** Writes a checkpoint durably. What it says is applied must be settled. */
export async function writeCheckpoint(inner: InnerLevel, checkpoint: Checkpoint): Promise<void> {
  const value = encodeCheckpoint(checkpoint)
  await storing('writing a checkpoint to the inner database', async () => {
    const batch = inner.batch()
    batch.put(CHECKPOINT_KEY, value, BYTES)
    await writeInner(inner, batch, { sync: true })
  })
}

export interface CheckpointerContext {
  readonly runtime: ValueLogRuntime
  readonly inner: InnerLevel
  readonly segments: Segments
  readonly readers: Readers
  readonly log: Log
  /** The last checkpoint, of which the log has been told. */
  readonly opened: Checkpoint
  /** Tells the log durably of a checkpoint that the inner database has. */
  readonly note: (checkpoint: Checkpoint) => Promise<void>
}

/** Moves the beginning of what must be read again after a crash, and frees what compaction has emptied. */
export class Checkpointer {
  readonly #context: CheckpointerContext
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined
  #settledSequence: number
  #last: Checkpoint
  #isNoted = true

  constructor(context: CheckpointerContext) {
    this.#context = context
    this.#settledSequence = context.log.applied.sequence
    this.#last = context.opened
  }

  /** Resolves after a checkpoint that covers all that is applied now. */
  run(): Promise<void> {
    if (this.#running === undefined) return this.#start()
    this.#next ??= this.#running.catch(() => {}).then(() => this.#start())
    return this.#next
  }

  /** The last one: nothing may be on its way. The next open has nothing to read again, unless applying has failed. */
  async finish(): Promise<void> {
    await this.#running?.catch(() => {})
    await this.#write(this.#context.log.canApply)
  }

  #start(): Promise<void> {
    this.#next = undefined
    this.#running = this.#write(false).finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #write(clean: boolean): Promise<void> {
    const { inner, segments, readers, log, runtime } = this.#context
    // The log must never be more than one behind.
    await this.#note()
    const position = log.applied
    const { nextSlot } = segments
    const { rows, emptied } = segments.rows(position.slot)
    if (position.sequence !== this.#settledSequence) await settleInner(inner)
    const number = this.#last.number + 1
    const next = { ...this.#last, number, clean, position, nextSlot, segments: rows }
    try {
      await writeCheckpoint(inner, next)
    } catch (error) {
      // Then nothing can be applied either, and nobody may come for whom something has to be.
      if (isFenced(inner)) log.innerFailed(error)
      throw error
    }
    this.#last = next
    this.#isNoted = false
    await this.#note()
    this.#settledSequence = position.sequence
    for (const segment of emptied) segment.settled = true
    await segments.release(readers.oldest)
    runtime.metrics.count('atoll_value_log_checkpoints_total')
  }

  async #note(): Promise<void> {
    if (this.#isNoted) return
    await this.#context.note(this.#last)
    this.#isNoted = true
  }
}
