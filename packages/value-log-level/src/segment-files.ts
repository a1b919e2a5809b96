import { AtollError, MiB } from '@atoll/core'
import type { FilePool } from './file-pool.ts'
import type { Files, ValueLogRuntime } from './ports.ts'
import { encodeSegmentHeader, segmentName } from './segment-file.ts'
import { storageError } from './storage-error.ts'

export interface SegmentFilesContext {
  readonly runtime: Pick<ValueLogRuntime, 'digest' | 'random'>
  readonly files: Files
  readonly pool: FilePool
  readonly identity: Uint8Array
}

/** A new segment is begun with this much room on the disk, or with its size if that is less. */
const BEGIN_BYTES = 2 * MiB

/** Creates the files of segments, and removes them. */
export class SegmentFiles {
  readonly #context: SegmentFilesContext

  constructor(context: SegmentFilesContext) {
    this.#context = context
  }

  /** A whole file with its header, durable; each of its bytes touched if told to. On failure nothing is left of it. */
  async create(slot: number, sizeBytes: number, { touch }: { touch: boolean }): Promise<void> {
    const { files, pool } = this.#context
    try {
      await this.#assertSpace(sizeBytes)
      await pool.use(slot, async (file) => {
        await file.truncate(sizeBytes)
        if (touch) await this.#touch(slot, sizeBytes)
        const { runtime, identity } = this.#context
        await file.write([encodeSegmentHeader(runtime.digest.crc32, { slot, identity, sizeBytes })], 0)
        await file.sync()
      })
      await files.syncDirectory()
    } catch (error) {
      await this.remove(slot).catch(() => {})
      throw storageError(`creating a segment of ${sizeBytes} bytes in ${files.label}`, error, {
        definite: true,
      })
    }
  }

  /** It goes even if it cannot be closed. */
  async remove(slot: number): Promise<void> {
    const { pool, files } = this.#context
    try {
      await pool.drop(slot)
    } finally {
      await files.remove(segmentName(slot))
    }
  }

  /**
   * A segment takes room as it is written. On a disk that is nearly full one is begun all the same while there is some: what
   * deletes needs it.
   */
  async #assertSpace(sizeBytes: number): Promise<void> {
    const { files } = this.#context
    const freeBytes = await files.freeBytes()
    if (freeBytes >= Math.min(sizeBytes, BEGIN_BYTES)) return
    const message = `${files.label} is full: ${freeBytes} bytes are free, and a segment is begun with ${BEGIN_BYTES}`
    const details = { reason: 'ENOSPC', freeBytes }
    throw new AtollError('ATOLL_DISK_FULL', message, { definite: true, details })
  }

  /** Random bytes: some disks take zeros without allocating anything. */
  #touch(slot: number, sizeBytes: number): Promise<void> {
    const block = this.#context.runtime.random.bytes(MiB)
    return this.#context.pool.use(slot, async (file) => {
      for (let at = 0; at < sizeBytes; at += MiB) {
        await file.write([block.subarray(0, Math.min(MiB, sizeBytes - at))], at)
      }
    })
  }
}
