import { Worker } from 'node:worker_threads'
import {
  AtollError,
  assert,
  concatBytes,
  type DigestStream,
  EMPTY_BYTES,
  KiB,
  type StreamAlgorithm,
} from '@atoll/core'
import {
  DIGEST_RING,
  DIGEST_WORKER,
  type DigestAnswer,
  type DigestHello,
  type DigestRequest,
  type DigestWorkerData,
} from './digest-worker.ts'
import { MD5_BLOCK_BYTES, MD5_KERNELS, MD5_LAYOUT, MD5_START, md5Module } from './md5-kernels.ts'
import { md5Padding } from './md5-padding.ts'

/**
 * A page of the memory of WebAssembly. The first one of a thread is for the kernels, each of the others is a slot for
 * bytes.
 */
const PAGE_BYTES = 64 * KiB
/** Slots that a stream takes at most before it is the turn of the next one, if there are others. */
const SLOTS_PER_TURN = 16
const STREAMS_IN_STEP = 4
/** Of the first page: behind what is the kernels'. What this thread writes often has a line of the cache of its own. */
const LAYOUT = {
  ...MD5_LAYOUT,
  wantedAt: MD5_LAYOUT.endsAt,
  parkedAt: MD5_LAYOUT.endsAt + 4,
  lastAt: MD5_LAYOUT.endsAt + 2 * MD5_BLOCK_BYTES,
  publishedAt: MD5_LAYOUT.endsAt + 8 * MD5_BLOCK_BYTES,
  ringAt: PAGE_BYTES / 2,
} as const

export interface DigestThreadOptions {
  /** Bytes that may be on their way to the thread: all the memory that it takes, however many streams it has. */
  readonly bufferBytes: number
  /** False to hash one stream after the other, as is done where WebAssembly has no vectors. */
  readonly inStep: boolean
}

interface Settled<Value> {
  readonly resolve: (value: Value) => void
  readonly reject: (error: Error) => void
}

interface Sending {
  readonly id: number
  readonly algorithm: StreamAlgorithm
  totalBytes: number
  /** The beginning of a block that is not whole yet. */
  rest: Uint8Array
  isOver: boolean
}

/** One worker, the streams on it, and the memory that it shares with this thread. Chunks are copied there, once. */
export class DigestThread {
  readonly #worker: Worker
  readonly #onGone: () => void
  readonly #slots: number
  /** The one that was freed last is used next, so that as little memory is touched as there is need for. */
  readonly #free: number[] = []
  readonly #waiting: Settled<void>[] = []
  /** Updates that wait for slots, or go on after that: who comes now comes behind them. */
  #inLine = 0
  readonly #pending = new Map<number, Settled<Uint8Array>>()
  #shared: { readonly memory: Buffer; readonly words: Int32Array; readonly blockwise: boolean } | undefined
  #broken: Error | undefined
  #requests: DigestRequest[] = []
  #published: number = DIGEST_RING.firstCount
  #nextStream: number = DIGEST_RING.firstCount
  #streams = 0

  constructor({ bufferBytes, inStep }: DigestThreadOptions, onGone: () => void) {
    this.#onGone = onGone
    this.#slots = Math.floor(bufferBytes / PAGE_BYTES)
    assert(this.#slots > 0, 'a digest thread has room for a slot')
    assert(this.#slots <= DIGEST_RING.entries, 'the ring of a digest thread has room for all slots')
    const workerData = dataOf(1 + this.#slots, inStep)
    this.#worker = new Worker(DIGEST_WORKER, { eval: true, name: 'atoll-digest', execArgv: [], workerData })
    this.#worker.unref()
    this.#worker.once('message', (hello: DigestHello) => {
      this.#worker.on('message', (answer: DigestAnswer) => this.#onAnswer(answer))
      this.#onHello(hello)
    })
    this.#worker.on('error', (error) => this.#fail(error))
    this.#worker.on('exit', () => this.#fail(new Error('the worker has ended')))
  }

  /** How many have begun and not ended. */
  get streams(): number {
    return this.#streams
  }

  /**
   * Whether one more stream would not wait for the others, or hardly: four in step have three quarters of the speed of
   * one.
   */
  hasRoom(algorithm: StreamAlgorithm): boolean {
    const inStep = algorithm === 'md5' && this.#shared?.blockwise === true
    return this.#streams < (inStep ? STREAMS_IN_STEP : 1)
  }

  stream(algorithm: StreamAlgorithm): DigestStream {
    const id = this.#nextStream
    this.#nextStream = (id + 1) | 0
    const stream: Sending = { id, algorithm, totalBytes: 0, rest: EMPTY_BYTES, isOver: false }
    // The worker keeps the process alive for as long as somebody waits for it.
    this.#streams += 1
    this.#worker.ref()
    return {
      update: (chunk) => {
        stream.totalBytes += chunk.length
        return this.#send(stream, chunk)
      },
      digest: () => this.#digest(stream),
      discard: () => {
        this.#post(stream, 'is given up', '')
        this.#end(stream)
      },
    }
  }

  /** Streams in flight fail with `ATOLL_CLOSED`. */
  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  /**
   * At once a slot, so that streams that begin in one turn all have something to hash soon. Then the streams take turns,
   * each as long as all of its turns before. The rest waits for slots to come back.
   */
  #send(stream: Sending, chunk: Uint8Array): undefined | Promise<void> {
    if (this.#shared === undefined || this.#inLine > 0) return this.#sendInTurn(stream, chunk, 0)
    const at = this.#sendSome(stream, chunk, { from: 0, slots: 1 })
    return at === chunk.length ? undefined : this.#sendInTurn(stream, chunk, at)
  }

  async #sendInTurn(stream: Sending, chunk: Uint8Array, from: number): Promise<void> {
    this.#inLine += 1
    try {
      let [at, slotsOfTurn] = [from, 1]
      do {
        await this.#freeSlots()
        if (stream.isOver) return
        const slots = this.#inLine > 1 ? slotsOfTurn : this.#free.length
        at = this.#sendSome(stream, chunk, { from: at, slots })
        slotsOfTurn = Math.min(SLOTS_PER_TURN, 2 * slotsOfTurn)
      } while (at < chunk.length)
    } finally {
      this.#inLine -= 1
      this.#wakeNext()
    }
  }

  /**
   * Copies into as many slots as there are, and answers where the rest of the chunk begins. The thread hears of each slot
   * as it is filled, and hashes it while more is copied.
   */
  #sendSome(stream: Sending, chunk: Uint8Array, { from, slots }: { from: number; slots: number }): number {
    assert(this.#shared !== undefined, 'there are slots once the thread has begun')
    const { memory } = this.#shared
    const unit = this.#isBlockwise(stream) ? MD5_BLOCK_BYTES : 1
    let at = from
    for (let taken = 0; at < chunk.length; taken++) {
      const available = stream.rest.length + chunk.length - at
      if (available < unit) {
        stream.rest = concatBytes([stream.rest, chunk.subarray(at)])
        return chunk.length
      }
      const slot = taken < slots ? this.#free.pop() : undefined
      if (slot === undefined) break
      const bytes = Math.min(PAGE_BYTES, available - (available % unit))
      const end = at + bytes - stream.rest.length
      const page = PAGE_BYTES * (1 + slot)
      copyInto(memory, stream.rest, page)
      copyInto(memory, chunk.subarray(at, end), page + stream.rest.length)
      stream.rest = EMPTY_BYTES
      this.#publish(stream, slot, bytes)
      at = end
    }
    return at
  }

  #publish({ id, algorithm }: Sending, slot: number, bytes: number): void {
    assert(this.#shared !== undefined, 'there are slots once the thread has begun')
    const { words } = this.#shared
    const entry = this.#published & (DIGEST_RING.entries - 1)
    const at = LAYOUT.ringAt / 4 + DIGEST_RING.wordsOfEntry * entry
    words[at] = id
    words[at + 1] = DIGEST_RING.algorithms.indexOf(algorithm)
    words[at + 2] = slot
    words[at + 3] = bytes
    this.#published = (this.#published + 1) | 0
    Atomics.store(words, LAYOUT.publishedAt / 4, this.#published)
    // It parks first, and looks into the ring after that: either it sees the slot, or this thread sees that it is parked.
    if (Atomics.load(words, LAYOUT.parkedAt / 4) === 0) return
    Atomics.store(words, LAYOUT.parkedAt / 4, 0)
    this.#worker.postMessage([])
  }

  async #digest(stream: Sending): Promise<Uint8Array> {
    if (this.#broken !== undefined) throw this.#broken
    assert(this.#shared !== undefined && !stream.isOver, 'a digest comes once, after its updates')
    const answered = new Promise<Uint8Array>((resolve, reject) =>
      this.#pending.set(stream.id, { resolve, reject }),
    )
    const last = this.#isBlockwise(stream)
      ? Buffer.concat([stream.rest, md5Padding(stream.totalBytes)]).toString('latin1')
      : ''
    this.#post(stream, 'ends', last)
    try {
      return await answered
    } finally {
      this.#end(stream)
    }
  }

  #isBlockwise({ algorithm }: Sending): boolean {
    return algorithm === 'md5' && this.#shared?.blockwise === true
  }

  #post({ id, algorithm }: Sending, what: DigestRequest['what'], last: string): void {
    if (this.#requests.push({ stream: id, algorithm, what, last }) === 1) process.nextTick(this.#postAll)
  }

  /** Ends of one turn share a message: that costs more than what is in it. */
  readonly #postAll = () => {
    this.#worker.postMessage(this.#requests)
    this.#requests = []
  }

  #end(stream: Sending): void {
    if (stream.isOver) return
    stream.isOver = true
    this.#streams -= 1
    if (this.#streams === 0) this.#worker.unref()
  }

  /** Resolves when there are free slots, for one at a time: it passes the turn on. */
  #freeSlots(): Promise<void> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken)
    const free = new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }))
    this.#wakeNext()
    return free
  }

  #wakeNext(): void {
    if (this.#waiting.length === 0) return
    if (this.#free.length > 0) this.#waiting.shift()?.resolve()
    else if (this.#shared !== undefined) Atomics.store(this.#shared.words, LAYOUT.wantedAt / 4, 1)
  }

  #onHello({ memory, blockwise }: DigestHello): void {
    this.#shared = { memory: Buffer.from(memory), words: new Int32Array(memory), blockwise }
    for (let slot = this.#slots - 1; slot >= 0; slot--) this.#free.push(slot)
    this.#wakeNext()
  }

  #onAnswer({ freed, digests }: DigestAnswer): void {
    for (const { stream, digest } of digests) {
      this.#pending.get(stream)?.resolve(new Uint8Array(Buffer.from(digest, 'latin1')))
      this.#pending.delete(stream)
    }
    this.#free.push(...freed)
    this.#wakeNext()
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

/**
 * As `memory.set(bytes, at)`, which copies into shared memory word by word, since others may look on: that takes five
 * times as long (Node 20: 340 µs for a MiB). `fill` copies natively, and repeats nothing if the lengths are the same.
 */
function copyInto(memory: Buffer, bytes: Uint8Array, at: number): void {
  if (bytes.length > 0) memory.fill(bytes, at, at + bytes.length)
}

/** To make a module takes milliseconds: one serves all threads with as much memory. */
const modules = new Map<number, Uint8Array>()

function dataOf(memoryPages: number, inStep: boolean): DigestWorkerData {
  const module = inStep ? (modules.get(memoryPages) ?? md5Module(memoryPages)) : EMPTY_BYTES
  if (inStep) modules.set(memoryPages, module)
  return {
    module,
    kernels: MD5_KERNELS,
    layout: LAYOUT,
    ring: DIGEST_RING,
    start: MD5_START,
    blockBytes: MD5_BLOCK_BYTES,
    memoryPages,
    slotsAt: PAGE_BYTES,
    slotBytes: PAGE_BYTES,
  }
}
