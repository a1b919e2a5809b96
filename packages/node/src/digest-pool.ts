import { createHash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { AtollError, assert, type DigestStream, MiB, type StreamAlgorithm } from '@atoll/core'

export interface DigestPoolOptions {
  /** Threads, started when first needed; default one less than there are processors, 1 to 4. */
  readonly workers: number
  /** A stream whose first chunk is smaller is digested where it is: a hop to a worker and back takes 22 µs. */
  readonly inlineBelowBytes: number
  /** Buffers of 1 MiB that each worker may hold: all the memory that the pool takes, however many streams there are. */
  readonly buffersPerWorker: number
}

const DIGEST_POOL_DEFAULTS: DigestPoolOptions = {
  workers: Math.min(4, Math.max(1, availableParallelism() - 1)),
  inlineBelowBytes: 64 * 1024,
  buffersPerWorker: 8,
}

/**
 * Digests of bodies on other threads, since MD5 at 560 MiB/s is the slowest thing on the way of a PUT. A chunk is
 * copied once (at 34 GB/s) into a buffer that travels to the worker and back; the chunk itself stays the caller's.
 */
export class DigestPool {
  readonly #options: DigestPoolOptions
  readonly #threads: DigestThread[] = []

  constructor(options: Partial<DigestPoolOptions> = {}) {
    this.#options = { ...DIGEST_POOL_DEFAULTS, ...options }
  }

  stream(algorithm: StreamAlgorithm): DigestStream {
    let chosen: DigestStream | undefined
    return {
      update: (chunk) => {
        chosen ??=
          chunk.length < this.#options.inlineBelowBytes
            ? inlineDigest(algorithm)
            : this.#leastBusy().stream(algorithm)
        return chosen.update(chunk)
      },
      digest: () => (chosen ?? inlineDigest(algorithm)).digest(),
      discard: () => chosen?.discard(),
    }
  }

  /** Ends the threads. Streams in flight fail. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.splice(0).map((thread) => thread.close()))
  }

  #leastBusy(): DigestThread {
    const idle = this.#threads.find((thread) => thread.streams === 0)
    if (idle !== undefined) return idle
    if (this.#threads.length < this.#options.workers) {
      const thread = new DigestThread(this.#options.buffersPerWorker, () => {
        const at = this.#threads.indexOf(thread)
        if (at >= 0) this.#threads.splice(at, 1)
      })
      this.#threads.push(thread)
      return thread
    }
    const [first, ...others] = this.#threads
    assert(first !== undefined, 'a pool has at least one worker')
    return others.reduce((least, thread) => (thread.streams < least.streams ? thread : least), first)
  }
}

/** A digest on the caller's own thread. */
function inlineDigest(algorithm: StreamAlgorithm): DigestStream {
  const digest = createHash(algorithm)
  return {
    update: (chunk) => {
      digest.update(chunk)
    },
    digest: () => Promise.resolve(new Uint8Array(digest.digest())),
    discard: () => {},
  }
}

/** Given as text, so that it runs from sources, from dist and from a bundle alike. */
const WORKER_PROGRAM = `
const { parentPort } = require('node:worker_threads')
const { createHash } = require('node:crypto')
const digests = new Map()
parentPort.on('message', ({ kind, stream, algorithm, buffer, length }) => {
  if (kind === 'start') digests.set(stream, createHash(algorithm))
  if (kind === 'chunk') {
    digests.get(stream)?.update(new Uint8Array(buffer, 0, length))
    parentPort.postMessage({ stream, buffer }, [buffer])
  }
  if (kind === 'digest') parentPort.postMessage({ stream, digest: digests.get(stream).digest() })
  if (kind === 'digest' || kind === 'discard') digests.delete(stream)
})
`

const BUFFER_BYTES = MiB

type Answer =
  | { readonly stream: number; readonly buffer: ArrayBuffer; readonly digest?: undefined }
  | { readonly stream: number; readonly digest: Uint8Array; readonly buffer?: undefined }

interface Pending {
  readonly resolve: (digest: Uint8Array) => void
  readonly reject: (error: Error) => void
}

/** One worker, the streams on it, and the buffers that go to it and come back. */
class DigestThread {
  readonly #worker: Worker
  readonly #pending = new Map<number, Pending>()
  readonly #free: ArrayBuffer[] = []
  readonly #waiting: {
    readonly resolve: (buffer: ArrayBuffer) => void
    readonly reject: (error: Error) => void
  }[] = []
  readonly #onGone: () => void
  #unallocated: number
  #nextStream = 0
  #broken: Error | undefined
  streams = 0

  constructor(buffers: number, onGone: () => void) {
    this.#unallocated = buffers
    this.#onGone = onGone
    this.#worker = new Worker(WORKER_PROGRAM, { eval: true, name: 'atoll-digest', execArgv: [] })
    this.#worker.unref()
    this.#worker.on('message', (answer: Answer) => this.#onAnswer(answer))
    this.#worker.on('error', (error) => this.#fail(error))
    this.#worker.on('exit', () => this.#fail(new Error('the worker has ended')))
  }

  stream(algorithm: StreamAlgorithm): DigestStream {
    const stream = this.#nextStream++
    this.streams += 1
    this.#worker.ref()
    this.#worker.postMessage({ kind: 'start', stream, algorithm })
    return {
      update: (chunk) => this.#update(stream, chunk, 0),
      digest: () => this.#digest(stream),
      discard: () => {
        this.#worker.postMessage({ kind: 'discard', stream })
        this.#ended()
      },
    }
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  /** Copies and sends as much as there are free buffers for; the rest goes when buffers come back. */
  #update(stream: number, chunk: Uint8Array, from: number): undefined | Promise<void> {
    for (let at = from; at < chunk.length; at += BUFFER_BYTES) {
      const buffer = this.#takeBuffer()
      if (buffer === undefined) return this.#updateLater(stream, chunk, at)
      this.#send(stream, buffer, chunk.subarray(at, at + BUFFER_BYTES))
    }
    return undefined
  }

  async #updateLater(stream: number, chunk: Uint8Array, at: number): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken
    const buffer = await new Promise<ArrayBuffer>((resolve, reject) =>
      this.#waiting.push({ resolve, reject }),
    )
    this.#send(stream, buffer, chunk.subarray(at, at + BUFFER_BYTES))
    await this.#update(stream, chunk, at + BUFFER_BYTES)
  }

  #send(stream: number, buffer: ArrayBuffer, piece: Uint8Array): void {
    new Uint8Array(buffer).set(piece)
    this.#worker.postMessage({ kind: 'chunk', stream, buffer, length: piece.length }, [buffer])
  }

  #digest(stream: number): Promise<Uint8Array> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken)
    return new Promise((resolve, reject) => {
      this.#pending.set(stream, { resolve, reject })
      this.#worker.postMessage({ kind: 'digest', stream })
    })
  }

  #onAnswer({ stream, buffer, digest }: Answer): void {
    if (buffer !== undefined) {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free.push(buffer)
      else next.resolve(buffer)
      return
    }
    this.#pending.get(stream)?.resolve(new Uint8Array(digest))
    this.#pending.delete(stream)
    this.#ended()
  }

  /** The worker keeps the process alive for as long as somebody waits for it. */
  #ended(): void {
    this.streams -= 1
    if (this.streams === 0) this.#worker.unref()
  }

  #takeBuffer(): ArrayBuffer | undefined {
    const free = this.#free.pop()
    if (free !== undefined || this.#unallocated === 0) return free
    this.#unallocated -= 1
    return new ArrayBuffer(BUFFER_BYTES)
  }

  #fail(cause: Error): void {
    if (this.#broken !== undefined) return
    this.#broken = new AtollError('ATOLL_CLOSED', `the digest worker failed: ${cause.message}`, { cause })
    for (const { reject } of [...this.#pending.values(), ...this.#waiting]) reject(this.#broken)
    this.#pending.clear()
    this.#waiting.length = 0
    this.#onGone()
  }
}
