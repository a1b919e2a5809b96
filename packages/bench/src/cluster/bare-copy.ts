import { once } from 'node:events'
import { type FileHandle, open, rm } from 'node:fs/promises'
import type { TlsFiles } from '@atoll/transport-tcp'
import { BODY_BYTES, dial, serve } from './bare-servers.ts'
import type { BareCopy } from './commands.ts'

/** Read ahead of what the socket has taken. */
const READ_BYTES = BODY_BYTES
const DONE = Uint8Array.of(6)

/** Takes one file; resolves with the port. */
export async function receiveFile(
  path: string,
  bytes: number,
  tls: TlsFiles<string> | undefined,
): Promise<number> {
  const file = await open(path, 'w')
  return serve(tls, (socket) => {
    const log = new FlushedFile(file)
    let taken = 0
    socket.on('data', (chunk) => {
      taken += chunk.length
      const room = log.append(chunk)
      if (taken >= bytes)
        void log
          .end()
          .then(() => rm(path))
          .then(() => socket.write(DONE))
      else if (room !== undefined) {
        socket.pause()
        void room.then(() => socket.resume())
      }
    })
  })
}

const MOST_WAITING_BYTES = 8 * BODY_BYTES

/** A file that is appended to and flushed; what comes during a flush shares the next one. */
export class FlushedFile {
  readonly #file: FileHandle
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #flushing: Promise<void> | undefined

  constructor(file: FileHandle) {
    this.#file = file
  }

  /** Answers a promise if there is much to flush: of when that is done. */
  append(bytes: Uint8Array): Promise<void> | undefined {
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
    this.#flushing ??= this.#flush()
    return this.#waitingBytes > MOST_WAITING_BYTES ? this.#flushing : undefined
  }

  /** Resolves when everything is on the disk. */
  async end(): Promise<void> {
    await this.#flushing
    await this.#file.close()
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      this.#waitingBytes = 0
      await this.#file.writev(group)
      await this.#file.datasync()
    }
    this.#flushing = undefined
  }
}

/** Reads the file piece by piece, one ahead of what the socket takes, and waits until the other side has it all. */
export async function sendFile({ path, bytes, port, tls }: BareCopy): Promise<number> {
  const socket = await dial(port, tls)
  const file = await open(path)
  const done = once(socket, 'data')
  const startedMs = performance.now()
  for await (const piece of piecesOf(file, bytes)) if (!socket.write(piece)) await once(socket, 'drain')
  await done
  const ms = performance.now() - startedMs
  socket.destroy()
  await file.close()
  return ms
}

/** The pieces of a file in order; while one is in use the next one is read. */
export async function* piecesOf(file: FileHandle, bytes: number): AsyncGenerator<Uint8Array> {
  const read = (at: number) => file.read(new Uint8Array(READ_BYTES), 0, READ_BYTES, at)
  let ahead = read(0)
  for (let at = 0; at < bytes; at += READ_BYTES) {
    const { buffer, bytesRead } = await ahead
    if (at + READ_BYTES < bytes) ahead = read(at + READ_BYTES)
    yield buffer.subarray(0, bytesRead)
  }
}
