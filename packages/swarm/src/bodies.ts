import { createHash } from 'node:crypto'
import { concatBytes, utf8 } from '@atoll/core'
import type { Prng } from '@atoll/sim'

/** Small ones, so that an object has several and a run costs little. */
export const BLOCKS = { blockBytes: 4096, inlineBytes: 256 }

/** What was put: its name stands for it in the history. */
export interface Body {
  readonly name: string
  readonly bytes: Uint8Array
}

/** Every body that a client has made, found again by its MD5; no two are the same. */
export class Bodies {
  readonly #byEtag = new Map<string, Body>()

  make(name: string, length: number, prng: Prng): Body {
    const head = utf8(`${name};`)
    const bytes = concatBytes([head, prng.bytes(Math.max(0, length - head.length))])
    const body = { name, bytes }
    this.#byEtag.set(createHash('md5').update(bytes).digest('hex'), body)
    return body
  }

  byEtag(etag: string): Body | undefined {
    return this.#byEtag.get(etag)
  }
}

/** The body in chunks of any size, as a client would send it. */
export async function* inChunks(bytes: Uint8Array, prng: Prng): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; ) {
    const end = at + prng.between(1, bytes.length)
    yield bytes.slice(at, end)
    at = end
  }
}

/** A body of which the source fails somewhere. */
export async function* broken(bytes: Uint8Array, prng: Prng): AsyncGenerator<Uint8Array, void, void> {
  yield* inChunks(bytes.slice(0, prng.below(bytes.length)), prng)
  throw new Error('the source of the body broke')
}

/** A body that tells, whenever it is asked for more, how many bytes it has given by then. */
export async function* heeding(
  chunks: AsyncIterable<Uint8Array>,
  onAsked: (givenBytes: number) => void,
): AsyncGenerator<Uint8Array> {
  let givenBytes = 0
  for await (const chunk of chunks) {
    yield chunk
    givenBytes += chunk.length
    onAsked(givenBytes)
  }
}

/** A body that takes its time. */
export async function* slowly(
  chunks: AsyncIterable<Uint8Array>,
  pause: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    yield chunk
    await pause()
  }
}
