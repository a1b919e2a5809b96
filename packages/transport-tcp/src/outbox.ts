import { type Frame, PROLOGUE_BYTES, writePrologue } from '@atoll/transport'
import type { Batch } from './batch.ts'
import { HEADER_BYTES, ORDINARY, URGENT, writeHeader } from './protocol.ts'

/** Frames in a row, of which pieces are taken. */
class Lane {
  readonly #kind: number
  #frames: (Frame | undefined)[] = []
  /** The first frame that is not all taken, and how much of it is. */
  #at = 0
  #taken = 0
  bytes = 0

  constructor(kind: number) {
    this.#kind = kind
  }

  push(frame: Frame): void {
    this.#frames.push(frame)
    this.bytes += bytesOf(frame)
  }

  clear(): void {
    this.#frames = []
    this.#at = 0
    this.#taken = 0
    this.bytes = 0
  }

  /** Adds a piece of at most `maxBytes`. */
  take(batch: Batch, maxBytes: number): void {
    let left = Math.min(maxBytes, this.bytes)
    const { sheet, at } = batch.reserve(HEADER_BYTES)
    writeHeader(sheet, at, { kind: this.#kind, length: left })
    this.bytes -= left
    while (left > 0) {
      const frame = this.#frames[this.#at]
      if (frame === undefined) break
      const taken = takeFrom(frame, this.#taken, { batch, maxBytes: left })
      left -= taken
      this.#taken += taken
      if (this.#taken === bytesOf(frame)) this.#next()
    }
  }

  #next(): void {
    this.#frames[this.#at++] = undefined
    this.#taken = 0
    // Rarely, since it costs as much as the array is long.
    if (this.#at * 2 < this.#frames.length) return
    this.#frames = this.#frames.slice(this.#at)
    this.#at = 0
  }
}

/** Adds what comes next of the first part that is not all taken; answers how much that was. */
function takeFrom(
  frame: Frame,
  taken: number,
  { batch, maxBytes }: { readonly batch: Batch; readonly maxBytes: number },
): number {
  const { head, body } = frame
  if (taken < PROLOGUE_BYTES) return takePrologue(frame, taken, { batch, maxBytes })
  const ofHead = taken - PROLOGUE_BYTES
  const ofBody = ofHead - head.length
  const [part, from] = ofBody < 0 || body === undefined ? [head, ofHead] : [body, ofBody]
  const to = Math.min(part.length, from + maxBytes)
  batch.add(part, from, to)
  return to - from
}

/** One for all: a prologue that is cut is written here first. */
const prologue = new Uint8Array(PROLOGUE_BYTES)

function takePrologue(
  frame: Frame,
  taken: number,
  { batch, maxBytes }: { readonly batch: Batch; readonly maxBytes: number },
): number {
  if (taken === 0 && maxBytes >= PROLOGUE_BYTES) {
    const { sheet, at } = batch.reserve(PROLOGUE_BYTES)
    writePrologue(frame, sheet, at)
    return PROLOGUE_BYTES
  }
  const to = Math.min(PROLOGUE_BYTES, taken + maxBytes)
  writePrologue(frame, prologue, 0)
  batch.add(prologue, taken, to)
  return to - taken
}

function bytesOf({ head, body }: Frame): number {
  return PROLOGUE_BYTES + head.length + (body?.length ?? 0)
}

/**
 * What waits to be sent, in the order in which it goes: signs of life, urgent frames, all others. An urgent frame waits
 * for the piece that is being written, never for a whole frame.
 */
export class Outbox {
  #control: Uint8Array[] = []
  readonly #urgent = new Lane(URGENT)
  readonly #ordinary = new Lane(ORDINARY)

  /** Bytes of frames that wait. */
  get bytes(): number {
    return this.#urgent.bytes + this.#ordinary.bytes
  }

  /** True if nothing waits. */
  get empty(): boolean {
    return this.#control.length === 0 && this.bytes === 0
  }

  pushControl(piece: Uint8Array): void {
    this.#control.push(piece)
  }

  /** A frame whose bytes must not change any more. */
  pushFrame(frame: Frame): void {
    const lane = frame.urgent === true ? this.#urgent : this.#ordinary
    lane.push(frame)
  }

  clear(): void {
    this.#control = []
    this.#urgent.clear()
    this.#ordinary.clear()
  }

  /** Adds the next piece, with at most `maxBytes` of frames. False if nothing waits. */
  take(batch: Batch, maxBytes: number): boolean {
    const control = this.#control.shift()
    if (control !== undefined) batch.add(control, 0, control.length)
    else if (this.#urgent.bytes > 0) this.#urgent.take(batch, maxBytes)
    else if (this.#ordinary.bytes > 0) this.#ordinary.take(batch, maxBytes)
    else return false
    return true
  }
}
