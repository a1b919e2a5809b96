import type { Digests } from '@atoll/core'
import {
  checksumSeed,
  storedBytes,
  type TwoParts,
  tableBytes,
  writeTable,
  writeTableOfTwo,
} from './checksum.ts'
import { OP_DELETE, OP_LARGE, OP_SMALL, type Op } from './operation.ts'
import type { Pointer } from './pointer.ts'
import type { RecordPlace } from './record.ts'

/** Values from this size on are written from where they are; smaller ones are gathered in one buffer first. */
const COPY_BELOW_BYTES = 64 * 1024

/** Bytes that are written from where they are. */
export function passedBytesOf(op: Op): number {
  if (op.type === OP_SMALL || op.type === OP_DELETE) return 0
  const tail = op.type === OP_LARGE ? op.tail : undefined
  if (tail !== undefined) return op.value.length + tail.length
  return isPassed(op.value) ? op.value.length : 0
}

function isPassed(value: Uint8Array): boolean {
  return value.length >= COPY_BELOW_BYTES
}

/** Gathers the large values of a record, each with its table: those that are copied, and the tables, lie in the area. */
export class RecordBodies {
  readonly #buffers: Uint8Array[] = []
  readonly #crc32: Digests['crc32']
  readonly #place: RecordPlace
  readonly #area: Buffer
  #offset: number
  /** From where on the area is not among the buffers yet, and up to where it is filled. */
  #from = 0
  #at = 0

  constructor(
    crc32: Digests['crc32'],
    place: RecordPlace,
    { offset, area }: { offset: number; area: Buffer },
  ) {
    this.#crc32 = crc32
    this.#place = place
    this.#offset = offset
    this.#area = area
  }

  add(key: Uint8Array, value: Uint8Array): Pointer {
    const { seed, pointer } = this.#begin(key, value.length)
    if (isPassed(value)) this.#pass(value)
    else {
      this.#area.set(value, this.#at)
      this.#at += value.length
    }
    writeTable(this.#crc32, value, { seed, target: this.#area, at: this.#at })
    this.#at += tableBytes(value.length)
    return pointer
  }

  addTwo(key: Uint8Array, parts: TwoParts): Pointer {
    const { head, tail } = parts
    const bytes = head.length + tail.length
    const { seed, pointer } = this.#begin(key, bytes)
    this.#pass(head)
    this.#pass(tail)
    writeTableOfTwo(this.#crc32, parts, { seed, target: this.#area, at: this.#at })
    this.#at += tableBytes(bytes)
    return pointer
  }

  /** All of it, with as many zeros behind it. */
  padded(zeros: number): readonly Uint8Array[] {
    this.#area.fill(0, this.#at, this.#at + zeros)
    this.#at += zeros
    this.#cut()
    return this.#buffers
  }

  #pass(bytes: Uint8Array): void {
    this.#cut()
    this.#buffers.push(bytes)
  }

  #cut(): void {
    if (this.#at > this.#from) this.#buffers.push(this.#area.subarray(this.#from, this.#at))
    this.#from = this.#at
  }

  #begin(key: Uint8Array, bytes: number): { seed: number; pointer: Pointer } {
    const { slot, sequence } = this.#place
    const pointer = { slot, offset: this.#offset, bytes, sequence }
    this.#offset += storedBytes(bytes)
    return { seed: checksumSeed(this.#crc32, key, sequence), pointer }
  }
}
