import { createHash } from 'node:crypto'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Subject } from './measure.ts'

/** A body as the loads produce it. */
export type Body = Uint8Array

export interface WriteFloorOptions {
  /** Where the files go; undefined for copies in memory. */
  readonly directory: string | undefined
  readonly copies: number
  readonly bodyOf: (n: number) => Body
}

const KEPT_IN_MEMORY = 64

/**
 * What physics asks of a write: the MD5 of the bytes once, and N copies of them, each appended to a plain file and
 * flushed with fdatasync. Writes that arrive during a flush share the next one. In memory, N copies of the bytes.
 */
export async function writeFloor({ directory, copies, bodyOf }: WriteFloorOptions): Promise<Subject> {
  if (directory === undefined) return memoryFloor(copies, bodyOf)
  const logs = await Promise.all(
    Array.from({ length: copies }, (_, at) => AppendLog.open(join(directory, `floor-${at}`))),
  )
  return {
    operation: async (n) => {
      const body = bodyOf(n)
      const written = Promise.all(logs.map((log) => log.append(body)))
      createHash('md5').update(body).digest()
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

  private constructor(file: FileHandle, path: string) {
    this.#file = file
    this.#path = path
  }

  static async open(path: string): Promise<AppendLog> {
    return new AppendLog(await open(path, 'w'), path)
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
        await this.#file.writev(group.map(({ body }) => body))
        await this.#file.datasync()
        for (const { done } of group) done()
      } catch (error) {
        for (const { failed } of group) failed(error)
      }
    }
    this.#flushing = false
  }
}
