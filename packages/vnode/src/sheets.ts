import { borrowBuffer, KiB, returnBuffer } from '@atoll/core'

/** What one sheet has room for. */
const SHEET_BYTES = 256 * KiB

/** Memory that several writes share on their way to the disk, and that is used again when the last of them is there. */
export class Sheet {
  readonly #buffer = borrowBuffer(SHEET_BYTES)
  #at = 0
  #users = 0
  #isLeft = false

  /** Room for a write, which then has to be told of by `release`; undefined if there is not as much left. */
  take(bytes: number): Uint8Array | undefined {
    const start = this.#at
    if (bytes > SHEET_BYTES - start) return undefined
    this.#at = start + bytes
    this.#users += 1
    return new Uint8Array(this.#buffer, start, bytes)
  }

  /** A write is on the disk, and nobody looks at its bytes any more. One that has failed is never told of. */
  release(): void {
    this.#users -= 1
    this.#returnIfOver()
  }

  /** Nothing more is written on it. */
  leave(): void {
    this.#isLeft = true
    this.#returnIfOver()
  }

  #returnIfOver(): void {
    if (this.#isLeft && this.#users === 0) returnBuffer(new Uint8Array(this.#buffer))
  }
}

/**
 * Where records are put together for a database that copies what it is given, or has done with it when it acknowledges. A
 * buffer for each record costs more than filling it, and V8 collects all of its heap for every 35 to 65 MiB of them.
 */
export class Sheets {
  #sheet = new Sheet()

  /** The sheet and its room for so many bytes; undefined for more than a sheet should give to one write. */
  take(bytes: number): { readonly sheet: Sheet; readonly room: Uint8Array } | undefined {
    if (bytes > SHEET_BYTES / 4) return undefined
    const room = this.#sheet.take(bytes)
    if (room !== undefined) return { sheet: this.#sheet, room }
    this.#sheet.leave()
    this.#sheet = new Sheet()
    return this.take(bytes)
  }
}
