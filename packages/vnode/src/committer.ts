import { type Clock, isAtollError, type Metrics, storageFailure } from '@atoll/core'
import type { Database, Operation } from './ports.ts'

export interface CommitterParts {
  readonly database: Pick<Database, 'batch' | 'batchBytes'>
  readonly clock: Clock
  readonly metrics: Metrics
  /** Called at once when a batch has failed, before anyone who waits for it. */
  readonly onFailed: (cause: unknown) => void
  /** Called when a batch has gone through. */
  readonly onDone: () => void
}

export interface CommitterLimits {
  readonly batchOperations: number
  readonly batchBytes: number
}

interface Write {
  readonly operations: readonly Operation[]
  readonly bytes: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

const SYNCED = { keyEncoding: 'view', valueEncoding: 'view', sync: true } as const

/**
 * Group commit: everything that arrives while a batch is on its way to the disk shares the next one, and its sync.
 * Batches go one after the other, in the order of arrival.
 *
 * A batch that fails takes everything with it that waits behind it: what waits may have been computed from a write
 * that is not there. Callers read again and retry.
 */
export class Committer {
  readonly #parts: CommitterParts
  readonly #limits: CommitterLimits
  #queue: Write[] = []
  #running = false

  constructor(parts: CommitterParts, limits: CommitterLimits) {
    this.#parts = parts
    this.#limits = limits
  }

  /** Queues operations that become durable together; rejects with `ATOLL_STORAGE` or `ATOLL_DISK_FULL`. How many wait is the caller's to bound. */
  commit(operations: readonly Operation[]): Promise<void> {
    const durable = new Promise<void>((resolve, reject) => {
      this.#queue.push({ operations, bytes: bytesOf(operations), resolve, reject })
    })
    // Commits of the same turn of the event loop begin together: the first does not go alone.
    if (!this.#running) void this.#run()
    return durable
  }

  async #run(): Promise<void> {
    this.#running = true
    await Promise.resolve()
    while (this.#queue.length > 0) await this.#commitNext()
    this.#running = false
  }

  async #commitNext(): Promise<void> {
    const { database, clock, metrics, onFailed, onDone } = this.#parts
    const writes = this.#takeBatch()
    const startMs = clock.monotonicMs()
    try {
      const operations = writes.flatMap((write) => write.operations)
      await (database.batchBytes?.(operations, SYNCED) ?? database.batch(operations, SYNCED))
    } catch (cause) {
      metrics.count('atoll_vnode_batch_failures_total')
      onFailed(cause)
      this.#fail(writes, cause)
      return
    }
    onDone()
    metrics.observe('atoll_vnode_batch_writes', writes.length)
    metrics.observe('atoll_vnode_batch_bytes', sumOf(writes, 'bytes'))
    metrics.observe('atoll_vnode_batch_ms', clock.monotonicMs() - startMs)
    for (const write of writes) write.resolve()
  }

  #takeBatch(): readonly Write[] {
    let operations = 0
    let bytes = 0
    const end = this.#queue.findIndex((write, at) => {
      operations += write.operations.length
      bytes += write.bytes
      return at > 0 && (operations > this.#limits.batchOperations || bytes > this.#limits.batchBytes)
    })
    return this.#queue.splice(0, end < 0 ? this.#queue.length : end)
  }

  #fail(writes: readonly Write[], cause: unknown): void {
    const behind = this.#queue
    this.#queue = []
    // A database of Atoll's, or its guard, may know that nothing was written.
    const known = isAtollError(cause) ? { definite: cause.definite, transient: cause.transient } : {}
    const failed = storageFailure('the database failed a batch', cause, known)
    for (const write of writes) write.reject(failed)
    const message = 'the database failed a batch before this write began'
    const unwritten = storageFailure(message, cause, { ...known, definite: true })
    for (const write of behind) write.reject(unwritten)
  }
}

function bytesOf(operations: readonly Operation[]): number {
  let bytes = 0
  for (const operation of operations) {
    bytes += operation.key.length
    if (operation.type === 'put') bytes += operation.value.length + (operation.tail?.length ?? 0)
  }
  return bytes
}

function sumOf(writes: readonly Write[], field: 'bytes'): number {
  return writes.reduce((sum, write) => sum + write[field], 0)
}
