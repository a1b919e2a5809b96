import { createHash, randomFillSync } from 'node:crypto'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { MiB } from '@atoll/core'
import type { Subject } from './measure.ts'

/** A body as the loads produce it. */
export type Body = Uint8Array

export interface WriteFloorOptions {
  /** Where the files go; undefined for copies in memory. */
  readonly directory: string | undefined
  readonly copies: number
  readonly bodyOf: (n: number) => Body
  /** Size of the files, whose every byte is touched first and which are then written round and round; 0 for new space. */
  readonly recycledBytes?: number
  /** Whether the MD5 of the bytes is computed too; default true. */
  readonly md5?: boolean
}

const KEPT_IN_MEMORY = 64

/**
 * What physics asks of a write: the MD5 of the bytes once, and N copies of them, each appended to a plain file and
 * flushed with fdatasync. Writes that arrive during a flush share the next one. In memory, N copies of the bytes.
 */
export async function writeFloor(options: WriteFloorOptions): Promise<Subject> {
  const { directory, copies, bodyOf, recycledBytes = 0, md5 = true } = options
  if (directory === undefined) return memoryFloor(copies, bodyOf)
  const logs = await Promise.all(
    Array.from({ length: copies }, (_, at) => AppendLog.open(join(directory, `floor-${at}`), recycledBytes)),
  )
  return {
    operation: async (n) => {
      const body = bodyOf(n)
      const written = Promise.all(logs.map((log) => log.append(body)))
      if (md5) createHash('md5').update(body).digest()
      await written
      return body.length
    },
    close: async () => {
      for (const log of logs) await log.close()
    },
  }
}

function memoryFloor(copies: number, bodyOf: (n: number) => Body): Subject {
  const kept: Uint8Array[] = []
  return {
    operation: async (n) => {
      const body = bodyOf(n)
      createHash('md5').update(body).digest()
      for (let copy = 0; copy < copies; copy++) kept[(n * copies + copy) % KEPT_IN_MEMORY] = body.slice()
      return body.length
    },
    close: () => Promise.resolve(),
  }
}

export interface ReadFloorOptions {
  readonly directory: string | undefined
  readonly sizeBytes: number
  readonly objects: number
  readonly bodyOf: (n: number) => Body
}

const READ_BYTES = 1024 * 1024

/** What physics asks of a read: the bytes by positioned reads of at most 1 MiB (or a copy of them), and their CRC-32. */
export async function readFloor({
  directory,
  sizeBytes,
  objects,
  bodyOf,
}: ReadFloorOptions): Promise<Subject> {
  if (directory === undefined) {
    const body = bodyOf(0)
    return {
      operation: async () => {
        crc32(body.slice())
        return body.length
      },
      close: () => Promise.resolve(),
    }
  }
  const path = join(directory, 'floor-read')
  const file = await open(path, 'w+')
  for (let n = 0; n < objects; n++) await file.write(bodyOf(n), 0, sizeBytes, n * sizeBytes)
  return {
    operation: async (n) => {
      for (let at = 0; at < sizeBytes; at += READ_BYTES) {
        const length = Math.min(READ_BYTES, sizeBytes - at)
        const { buffer } = await file.read(new Uint8Array(length), 0, length, (n % objects) * sizeBytes + at)
        crc32(buffer)
      }
      return sizeBytes
    },
    close: async () => {
      await file.close()
      await rm(path)
    },
  }
}

/** A file that is only appended to, with group commit. */
class AppendLog {
  readonly #file: FileHandle
  readonly #path: string
  #waiting: { body: Uint8Array; done: () => void; failed: (error: unknown) => void }[] = []
  #flushing = false
  readonly #recycledBytes: number
  #position = 0

  private constructor(file: FileHandle, path: string, recycledBytes: number) {
    this.#file = file
    this.#path = path
    this.#recycledBytes = recycledBytes
  }

  static async open(path: string, recycledBytes: number): Promise<AppendLog> {
    const file = await open(path, 'w')
    // Zeroes would not be allocated: the device tells them apart.
    for (let at = 0; at < recycledBytes; at += MiB)
      await file.write(randomFillSync(new Uint8Array(MiB)), 0, MiB, at)
    await file.sync()
    return new AppendLog(file, path, recycledBytes)
  }

  append(body: Uint8Array): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiting.push({ body, done, failed })
      if (!this.#flushing) void this.#flush()
    })
  }

  async close(): Promise<void> {
    await this.#file.close()
    await rm(this.#path)
  }

  async #flush(): Promise<void> {
    this.#flushing = true
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      try {
        const bytes = group.reduce((sum, { body }) => sum + body.length, 0)
        if (this.#recycledBytes > 0 && this.#position + bytes > this.#recycledBytes) this.#position = 0
        await this.#file.writev(
          group.map(({ body }) => body),
          this.#position,
        )
        this.#position += bytes
        await this.#file.datasync()
        for (const { done } of group) done()
      } catch (error) {
        for (const { failed } of group) failed(error)
      }
    }
    this.#flushing = false
  }
}
