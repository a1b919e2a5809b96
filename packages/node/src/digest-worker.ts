import type { StreamAlgorithm } from '@atoll/core'

/**
 * The ring in the memory of a digest thread. An entry is a slot that was filled: its stream, algorithm, slot and bytes, a
 * word each. A slot is in it once at most, so that it is never full. Entries and streams are counted by an i32 that wraps,
 * and begins shortly before it does: so what happens then happens in every process.
 */
export const DIGEST_RING = {
  entries: 2048,
  wordsOfEntry: 4,
  algorithms: ['md5', 'sha256'],
  firstCount: 2 ** 31 - 100,
} as const satisfies {
  entries: number
  wordsOfEntry: number
  algorithms: readonly StreamAlgorithm[]
  firstCount: number
}

/** What the program of a digest thread is started with. */
export interface DigestWorkerData {
  /** Kernels that hash several messages in step, or none of use: then messages are hashed one after the other. */
  readonly module: Uint8Array
  readonly kernels: readonly { readonly name: string; readonly lanes: number }[]
  readonly layout: {
    readonly lanes: number
    readonly pointersAt: number
    readonly stateAt: number
    /** Not 0 while the sender waits for slots. */
    readonly wantedAt: number
    /** Room for the last blocks of a stream. */
    readonly lastAt: number
    /** How many entries the ring has had. */
    readonly publishedAt: number
    /** Not 0 while the thread has nothing to do: then it wants a message. */
    readonly parkedAt: number
    /** A ring of what was copied: see `DIGEST_RING`. */
    readonly ringAt: number
  }
  readonly ring: typeof DIGEST_RING
  readonly start: readonly number[]
  readonly blockBytes: number
  /** The shared memory: pages of 64 KiB, and slots of a chunk each, from `slotsAt` on. */
  readonly memoryPages: number
  readonly slotsAt: number
  readonly slotBytes: number
}

/**
 * The end of a stream, behind all slots of it that the ring has had when the message is sent. A message has any number of
 * these; one without any wakes the thread.
 */
export interface DigestRequest {
  readonly stream: number
  readonly algorithm: StreamAlgorithm
  readonly what: 'ends' | 'is given up'
  /** What is left at the end, in whole blocks where MD5 takes those: a character for each byte, as texts travel faster. */
  readonly last: string
}

/** At the start: what is shared, and whether MD5 takes whole blocks, the last of them padded by the sender. */
export interface DigestHello {
  readonly memory: SharedArrayBuffer
  readonly blockwise: boolean
}

export interface DigestAnswer {
  /** Slots whose bytes are done with. */
  readonly freed: readonly number[]
  /** A character of a digest is a byte. */
  readonly digests: readonly { readonly stream: number; readonly digest: string }[]
}

/**
 * Given as text, so that it runs from sources, from dist and from a bundle alike. It reads its messages between two runs of
 * a kernel, not when it has nothing left to do: streams that have come meanwhile get the lanes that are free.
 */
export const DIGEST_WORKER = `
const { parentPort, receiveMessageOnPort, workerData } = require('node:worker_threads')
const { createHash } = require('node:crypto')
const { layout, ring, start, blockBytes, memoryPages, slotsAt, slotBytes } = workerData

/** An answer wakes the other thread, and that is dear: those who wait for slots wait for a quarter of them. */
const SLOTS_AT_ONCE = Math.ceil((memoryPages * 65536 - slotsAt) / slotBytes / 4)

/**
 * For the same reason a digest waits for another one that has so few blocks left, for so many runs at most. It does not
 * wait for more than half of the streams: the others keep this thread busy until the next ones begin.
 */
const [BLOCKS_WAITED_FOR, RUNS_WAITED_FOR] = [512, 2]

/** Places of the memory, counted in words. */
const [pointersAt, stateAt, wantedAt] = [layout.pointersAt, layout.stateAt, layout.wantedAt].map((at) => at / 4)
const [publishedAt, parkedAt, ringAt] = [layout.publishedAt, layout.parkedAt, layout.ringAt].map((at) => at / 4)
const lanesAtMost = layout.lanes
/** While lanes are free, runs are shorter, so that a stream that comes begins sooner. */
const BLOCKS_OF_SHORT_RUN = 256

const { memory, kernels } = shared()
const words = new Int32Array(memory)
const octets = Buffer.from(memory)
const streams = new Map()
/** Streams with blocks to hash. */
const ready = []
let freed = []
let digests = []
/** How long the first of the digests has waited. */
let runsWaited = 0

/** How many entries of the ring were taken. */
let taken = ring.firstCount

Atomics.store(words, publishedAt, taken)
park()
parentPort.postMessage({ memory, blockwise: kernels !== undefined })
parentPort.on('message', (requests) => {
  Atomics.store(words, parkedAt, 0)
  takeAll(requests)
  do {
    takeSlots()
    for (let next = receiveMessageOnPort(parentPort); next !== undefined; next = receiveMessageOnPort(parentPort))
      takeAll(next.message)
    if (ready.length > 0) hashInStep()
    if (ready.length === 0 || haveWaited() || isWaitedFor()) answer()
  } while (ready.length > 0 || !park())
})

/** False if there is an entry that the sender may have made before it could see that this thread waits for a message. */
function park() {
  Atomics.store(words, parkedAt, 1)
  if (Atomics.load(words, publishedAt) === taken) return true
  Atomics.store(words, parkedAt, 0)
  return false
}

function shared() {
  try {
    const memory = new WebAssembly.Memory({ initial: memoryPages, maximum: memoryPages, shared: true })
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(workerData.module), { memory: { shared: memory } })
    const kernels = workerData.kernels.map(({ name, lanes }) => ({ lanes, run: exports[name] }))
    return { memory: memory.buffer, kernels }
  } catch {
    return { memory: new SharedArrayBuffer(65536 * memoryPages), kernels: undefined }
  }
}

/** What was in the ring when a message was sent comes before it. */
function takeAll(requests) {
  takeSlots()
  for (const { stream: id, algorithm, what, last } of requests) {
    const stream = streamOf(id, algorithm)
    streams.delete(id)
    if (what === 'ends') stream.end(last)
    else stream.giveUp()
  }
}

function takeSlots() {
  while (taken !== Atomics.load(words, publishedAt)) {
    const at = ringAt + ring.wordsOfEntry * (taken & (ring.entries - 1))
    taken = (taken + 1) | 0
    streamOf(words[at], ring.algorithms[words[at + 1]]).add(words[at + 2], words[at + 3])
  }
}

function streamOf(id, algorithm) {
  const known = streams.get(id)
  if (known !== undefined) return known
  const stream = algorithm === 'md5' && kernels !== undefined ? blockwise(id) : plain(id, algorithm)
  streams.set(id, stream)
  return stream
}

function plain(id, algorithm) {
  const hash = createHash(algorithm)
  return {
    add: (slot, length) => {
      hash.update(new Uint8Array(memory, slotsAt + slot * slotBytes, length))
      freed.push(slot)
    },
    end: (last) => digests.push({ stream: id, digest: hash.update(last, 'latin1').digest('latin1') }),
    giveUp: () => {},
  }
}

function blockwise(id) {
  const stream = { state: Int32Array.from(start), runs: [], last: undefined, add, end, giveUp, finish }
  return stream
  function add(slot, length) {
    if (stream.runs.length === 0) ready.push(stream)
    stream.runs.push({ slot, at: slotsAt + slot * slotBytes, blocks: length / blockBytes })
  }
  function end(last) {
    stream.last = last
    if (stream.runs.length === 0) finish()
  }
  function giveUp() {
    if (stream.runs.length > 0) ready.splice(ready.indexOf(stream), 1)
    for (const { slot } of stream.runs) freed.push(slot)
  }
  /** The last blocks are hashed alone: so few would cut the runs of all lanes. */
  function finish() {
    octets.latin1Write(stream.last, layout.lastAt)
    load(stream.state, 0, layout.lastAt)
    kernels[0].run(stream.last.length / blockBytes)
    store(stream.state, 0)
    digests.push({ stream: id, digest: Buffer.from(stream.state.buffer).latin1Slice() })
  }
}

/**
 * Runs the blocks that all of up to eight streams have. A stream keeps its lane until it has no more of them. Lanes that are
 * left over do the work of the last one once more.
 */
function hashInStep() {
  const used = Math.min(ready.length, lanesAtMost)
  const { lanes, run } = kernels.find((kernel) => kernel.lanes >= used)
  let blocks = used < lanesAtMost ? BLOCKS_OF_SHORT_RUN : Infinity
  for (let lane = 0; lane < lanes; lane++) {
    const { state, runs } = ready[Math.min(lane, used - 1)]
    load(state, lane, runs[0].at)
    blocks = Math.min(blocks, runs[0].blocks)
  }
  run(blocks)
  for (let lane = 0; lane < used; lane++) {
    const { state, runs } = ready[lane]
    store(state, lane)
    runs[0].at += blocks * blockBytes
    runs[0].blocks -= blocks
    if (runs[0].blocks === 0) freed.push(runs.shift().slot)
  }
  for (let at = used - 1; at >= 0; at--) {
    if (ready[at].runs.length > 0) continue
    const [stream] = ready.splice(at, 1)
    if (stream.last !== undefined) stream.finish()
  }
}

function load(state, lane, pointer) {
  words[pointersAt + lane] = pointer
  for (let word = 0; word < 4; word++) words[stateAt + word * lanesAtMost + lane] = state[word]
}

function store(state, lane) {
  for (let word = 0; word < 4; word++) state[word] = words[stateAt + word * lanesAtMost + lane]
}

function haveWaited() {
  if (digests.length === 0) return false
  const waits = digests.length <= ready.length / 2 && ready.some(endsSoon)
  return !waits || runsWaited++ >= RUNS_WAITED_FOR
}

function endsSoon({ last, runs }) {
  return last !== undefined && runs.length === 1 && runs[0].blocks <= BLOCKS_WAITED_FOR
}

function isWaitedFor() {
  return freed.length >= SLOTS_AT_ONCE && Atomics.load(words, wantedAt) !== 0
}

function answer() {
  Atomics.store(words, wantedAt, 0)
  if (freed.length + digests.length > 0) parentPort.postMessage({ freed, digests })
  freed = []
  digests = []
  runsWaited = 0
}
`
