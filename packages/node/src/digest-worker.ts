/** What the program of a digest thread is started with. */
export interface DigestWorkerData {
  /** Kernels that hash several messages in step, or none of use: then messages are hashed one after the other. */
  readonly module: Uint8Array
  readonly kernels: readonly { readonly name: string; readonly lanes: number }[]
  readonly layout: { readonly lanes: number; readonly pointersAt: number; readonly stateAt: number }
  readonly start: readonly number[]
  readonly blockBytes: number
  /** The shared memory: pages of 64 KiB, and slots of a chunk each, from `slotsAt` on. */
  readonly memoryPages: number
  readonly slotsAt: number
  readonly slotBytes: number
}

/** Bytes of a stream, in slots that are all full but the last. A message has one or more of these. */
export interface DigestRequest {
  readonly stream: number
  readonly algorithm: string
  readonly slots: readonly number[]
  readonly bytes: number
  /** What becomes of the stream thereafter. */
  readonly next: 'goes on' | 'ends' | 'is given up'
}

/** At the start: what is shared, and whether MD5 takes whole blocks, the last of them padded by the sender. */
export interface DigestHello {
  readonly memory: SharedArrayBuffer
  readonly blockwise: boolean
}

export interface DigestAnswer {
  /** Slots whose bytes are done with. */
  readonly freed: readonly number[]
  readonly digests: readonly { readonly stream: number; readonly digest: Uint8Array }[]
}

/**
 * Given as text, so that it runs from sources, from dist and from a bundle alike. It reads its messages between two runs of
 * a kernel, not when it has nothing left to do: streams that have come meanwhile get the lanes that are free.
 */
export const DIGEST_WORKER = `
const { parentPort, receiveMessageOnPort, workerData } = require('node:worker_threads')
const { createHash } = require('node:crypto')
const { layout, start, blockBytes, memoryPages, slotsAt, slotBytes } = workerData

/**
 * A run of a kernel ends where a lane has no more blocks; answers wait for this many slots, unless there is nothing
 * else to do.
 */
const FREED_AT_ONCE = 16

const { memory, kernels } = shared()
const words = new Int32Array(memory)
const streams = new Map()
/** Streams with blocks to hash. */
const ready = []
let freed = []
let digests = []

parentPort.postMessage({ memory, blockwise: kernels !== undefined })
parentPort.on('message', (requests) => {
  requests.forEach(take)
  do {
    for (let next = receiveMessageOnPort(parentPort); next !== undefined; next = receiveMessageOnPort(parentPort))
      next.message.forEach(take)
    if (ready.length > 0) hashInStep()
    if (ready.length === 0 || freed.length >= FREED_AT_ONCE || digests.length > 0) answer()
  } while (ready.length > 0)
})

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

function take({ stream: id, algorithm, slots, bytes, next }) {
  let stream = streams.get(id)
  if (stream === undefined) {
    stream = algorithm === 'md5' && kernels !== undefined ? blockwise(id) : plain(id, algorithm)
    streams.set(id, stream)
  }
  slots.forEach((slot, at) => stream.add(slot, Math.min(slotBytes, bytes - at * slotBytes)))
  if (next === 'ends') stream.end()
  if (next === 'is given up') stream.giveUp()
  if (next !== 'goes on') streams.delete(id)
}

function plain(id, algorithm) {
  const hash = createHash(algorithm)
  return {
    add: (slot, length) => {
      hash.update(new Uint8Array(memory, slotsAt + slot * slotBytes, length))
      freed.push(slot)
    },
    end: () => digests.push({ stream: id, digest: hash.digest() }),
    giveUp: () => {},
  }
}

function blockwise(id) {
  const stream = { state: Int32Array.from(start), runs: [], ended: false, add, end, giveUp, finish }
  return stream
  function add(slot, length) {
    if (stream.runs.length === 0) ready.push(stream)
    stream.runs.push({ slot, at: slotsAt + slot * slotBytes, blocks: length / blockBytes })
  }
  function end() {
    stream.ended = true
    if (stream.runs.length === 0) finish()
  }
  function giveUp() {
    if (stream.runs.length > 0) ready.splice(ready.indexOf(stream), 1)
    for (const { slot } of stream.runs) freed.push(slot)
  }
  function finish() {
    digests.push({ stream: id, digest: new Uint8Array(stream.state.buffer) })
  }
}

/**
 * Runs the blocks that all of up to eight streams have. A stream keeps its lane until it has no more of them. Lanes that are
 * left over do the work of the last one once more.
 */
function hashInStep() {
  const chosen = ready.slice(0, layout.lanes)
  const { lanes, run } = kernels.find((kernel) => kernel.lanes >= chosen.length)
  const blocks = Math.min(...chosen.map(({ runs }) => runs[0].blocks))
  const wordAt = (word, lane) => layout.stateAt / 4 + word * layout.lanes + lane
  for (let lane = 0; lane < lanes; lane++) {
    const { state, runs } = chosen[Math.min(lane, chosen.length - 1)]
    words[layout.pointersAt / 4 + lane] = runs[0].at
    for (let word = 0; word < 4; word++) words[wordAt(word, lane)] = state[word]
  }
  run(blocks)
  chosen.forEach((stream, lane) => {
    const { state, runs } = stream
    for (let word = 0; word < 4; word++) state[word] = words[wordAt(word, lane)]
    runs[0].at += blocks * blockBytes
    runs[0].blocks -= blocks
    if (runs[0].blocks === 0) freed.push(runs.shift().slot)
    if (runs.length > 0) return
    ready.splice(ready.indexOf(stream), 1)
    if (stream.ended) stream.finish()
  })
}

function answer() {
  if (freed.length + digests.length > 0) parentPort.postMessage({ freed, digests })
  freed = []
  digests = []
}
`
