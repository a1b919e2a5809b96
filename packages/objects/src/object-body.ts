import { AtollError, assert, ignoreAbort, listenToAbort, returnBuffer } from '@atoll/core'
import { abortable, throwIfAborted } from './abort.ts'
import type { Block, BlockOwner, BlockSet } from './blocks.ts'
import type { ResolvedRange } from './byte-range.ts'
import type { Version } from './history.ts'
import type { Layer } from './layer.ts'
import { persistently } from './patience.ts'
import type { ReadQuorumOptions } from './quorums.ts'
import type { ChunkOwnership, Progress } from './requests.ts'
import type { Release } from './slots.ts'

export interface BodyPlan {
  readonly owner: BlockOwner
  readonly set: BlockSet
  readonly version: Version
  readonly range: ResolvedRange
  readonly readAhead: number
  readonly repair: boolean
  readonly chunks: ChunkOwnership
  readonly quorum: ReadQuorumOptions
  readonly signal: AbortSignal | undefined
  readonly onProgress: (progress: Progress) => void
}

/** A block that is being read, and the slot that it takes until it is needed. */
interface Ahead {
  readonly fetched: Promise<Uint8Array>
  readonly release: Release
}

type BodyLayer = Pick<Layer, 'blocks' | 'readSlots' | 'runtime' | 'settings' | 'traffic'>

/** A part of an object as chunks in order, read a few blocks ahead of whoever consumes it. It can be read once. */
export class BodyReader implements AsyncIterable<Uint8Array> {
  readonly #layer: BodyLayer
  readonly #plan: BodyPlan
  #begun = false

  constructor(layer: BodyLayer, plan: BodyPlan) {
    this.#layer = layer
    this.#plan = plan
    if (plan.version.blocks > 0) layer.traffic.handOut()
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, void, void> {
    if (this.#begun)
      throw new AtollError(
        'ATOLL_INVALID_BODY',
        'the body of an object can be read once; get the object again',
      )
    this.#begun = true
    return this.#chunks()
  }

  async *#chunks(): AsyncGenerator<Uint8Array, void, void> {
    const { version, range, onProgress, signal } = this.#plan
    let bytes = 0
    const passing = (chunk: Uint8Array) => {
      bytes += chunk.length
      this.#layer.runtime.metrics.count('atoll_objects_get_bytes_total', chunk.length)
      onProgress({ bytes })
      return chunk
    }
    if (version.blocks > 0) for await (const chunk of this.#fetched()) yield passing(chunk)
    else {
      throwIfAborted(signal)
      // A copy: the chunk belongs to its receiver, the manifest may belong to the database.
      const inline = new Uint8Array(version.content.inline.subarray(range.start, range.end))
      if (inline.length > 0) yield passing(inline)
    }
    assert(bytes === range.end - range.start, 'a body has the length of its range')
  }

  async *#fetched(): AsyncGenerator<Uint8Array, void, void> {
    const { version, range, readAhead, chunks } = this.#plan
    const { blockBytes } = version.content
    const last = Math.floor((range.end - 1) / blockBytes)
    let sequence = Math.floor(range.start / blockBytes)
    let at = sequence * blockBytes
    const stay = this.#layer.traffic.beginBody(this.#plan.signal)
    const { signal } = stay
    const ahead: Ahead[] = []
    let complete = false
    /** The block that is needed next needs no slot, so that no download waits for another. */
    const readOn = () => {
      while (ahead.length < readAhead && sequence <= last) {
        const release = ahead.length === 0 ? () => {} : this.#layer.readSlots.tryTake()
        if (release === undefined) return
        ahead.push({ fetched: this.#fetch(sequence++, signal), release })
      }
    }
    const giveBack = () => {
      for (const { release } of ahead) release()
    }
    try {
      throwIfAborted(signal)
      // Whoever has aborted may never ask for the next chunk, and then nothing below happens.
      listenToAbort(signal, giveBack)
      readOn()
      for (let next = ahead.shift(); next !== undefined; next = ahead.shift()) {
        next.release()
        const block = await abortable(signal, next.fetched)
        throwIfAborted(signal)
        readOn()
        yield block.subarray(Math.max(0, range.start - at), Math.min(block.length, range.end - at))
        if (chunks === 'lent') returnBuffer(block)
        at += blockBytes
      }
      complete = true
    } finally {
      giveBack()
      ignoreAbort(signal, giveBack)
      // With nothing on its way there is nothing to cancel, and the reason that an abort makes takes 70 µs.
      if (!complete) stay.cancel()
      stay.end()
    }
  }

  #fetch(sequence: number, signal: AbortSignal): Promise<Uint8Array> {
    const { set, version, owner, repair, quorum } = this.#plan
    const block = blockOf(version, sequence)
    const reading = () => this.#layer.blocks.read(set, block, { owner, signal, repair, quorum })
    const { runtime, settings } = this.#layer
    const fetched = persistently(runtime, reading, { patienceMs: settings.blockPatienceMs, signal })
    // Whoever waits for it sees the error; if nobody does any more, nobody has to.
    fetched.catch(() => {})
    return fetched
  }
}

function blockOf({ content, blocks }: Version, sequence: number): Block {
  const { size, blockBytes, checksums } = content
  const length = sequence === blocks - 1 ? size - sequence * blockBytes : blockBytes
  const view = new DataView(checksums.buffer, checksums.byteOffset, checksums.byteLength)
  return { sequence, length, crc32: view.getUint32(4 * sequence) }
}
