import { assert } from '@atoll/core'
import { abortable, throwIfAborted } from './abort.ts'
import type { Block, BlockSet, Blocks } from './blocks.ts'
import type { ResolvedRange } from './byte-range.ts'
import type { Version } from './history.ts'
import type { Progress } from './requests.ts'

export interface BodyPlan {
  readonly set: BlockSet
  readonly version: Version
  readonly range: ResolvedRange
  readonly readAhead: number
  readonly repair: boolean
  readonly signal: AbortSignal | undefined
  readonly onProgress: (progress: Progress) => void
}

/** A part of an object as chunks in order, read a few blocks ahead of whoever consumes it. It can be read once. */
export class BodyReader implements AsyncIterable<Uint8Array> {
  readonly #blocks: Blocks
  readonly #plan: BodyPlan
  #begun = false

  constructor(blocks: Blocks, plan: BodyPlan) {
    this.#blocks = blocks
    this.#plan = plan
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, void, void> {
    if (this.#begun) throw new TypeError('the body of an object can be read once; get the object again')
    this.#begun = true
    return this.#chunks()
  }

  async *#chunks(): AsyncGenerator<Uint8Array, void, void> {
    const { version, range, onProgress, signal } = this.#plan
    throwIfAborted(signal)
    let bytes = 0
    const chunks = version.blocks === 0 ? this.#inline() : this.#fetched()
    for await (const chunk of chunks) {
      bytes += chunk.length
      onProgress({ bytes })
      yield chunk
    }
    assert(bytes === range.end - range.start, 'a body has the length of its range')
  }

  async *#inline(): AsyncGenerator<Uint8Array, void, void> {
    const { version, range } = this.#plan
    // A copy: the chunk belongs to its receiver, the manifest may belong to the database.
    if (range.end > range.start) yield new Uint8Array(version.content.inline.subarray(range.start, range.end))
  }

  async *#fetched(): AsyncGenerator<Uint8Array, void, void> {
    const { version, range, readAhead, signal } = this.#plan
    const { blockBytes } = version.content
    const last = Math.floor((range.end - 1) / blockBytes)
    let sequence = Math.floor(range.start / blockBytes)
    let at = sequence * blockBytes
    const cancel = new AbortController()
    const onAbort = () => cancel.abort(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    const ahead: Promise<Uint8Array>[] = []
    const readOn = () => {
      while (ahead.length < readAhead && sequence <= last) ahead.push(this.#fetch(sequence++, cancel.signal))
    }
    try {
      readOn()
      for (let next = ahead.shift(); next !== undefined; next = ahead.shift()) {
        const block = await abortable(signal, next)
        readOn()
        yield block.subarray(Math.max(0, range.start - at), Math.min(block.length, range.end - at))
        at += blockBytes
      }
    } finally {
      signal?.removeEventListener('abort', onAbort)
      cancel.abort()
    }
  }

  #fetch(sequence: number, signal: AbortSignal): Promise<Uint8Array> {
    const { set, version, repair } = this.#plan
    const fetched = this.#blocks.read(set, blockOf(version, sequence), { signal, repair })
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
