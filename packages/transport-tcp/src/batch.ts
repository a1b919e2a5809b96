import { borrowBuffer, returnBuffer } from '@atoll/core'

/** Copied into one of these, small parts become one; and it is what a write of them has at most. */
const SHEET_BYTES = 64 * 1024
/**
 * Parts up to this size are copied together. A part of its own costs a gathering write about as much as copying so much
 * into memory that is kept, and where data is encrypted the runtime copies what is gathered anyway, into new memory.
 */
const COPY_BYTES = 16 * 1024

/** What is written at a time, in parts: small ones are copied into sheets, which come back when it is written. */
export class Batch {
  readonly parts: Uint8Array[] = []
  readonly #sheets: Uint8Array[] = []
  #sheet: Uint8Array | undefined
  /** Where in the sheet the part that is being filled begins, and what comes next goes. */
  #start = 0
  #end = 0
  bytes = 0

  /** So many bytes in a row, to be written by the caller at once, from the offset that is answered with it. */
  reserve(length: number): { readonly sheet: Uint8Array; readonly at: number } {
    const sheet = this.#room(length)
    const at = this.#end
    this.#end += length
    this.bytes += length
    return { sheet, at }
  }

  /** Adds bytes of a part, which must not change until all is written. */
  add(part: Uint8Array, from: number, to: number): void {
    const length = to - from
    const isWhole = length === part.length
    const bytes = isWhole ? part : part.subarray(from, to)
    if (length > COPY_BYTES) {
      this.#endPart()
      this.parts.push(bytes)
      this.bytes += length
    } else {
      const { sheet, at } = this.reserve(length)
      sheet.set(bytes, at)
    }
  }

  /** Nothing more is added. */
  end(): readonly Uint8Array[] {
    this.#endPart()
    return this.parts
  }

  /** All is written. */
  release(): void {
    for (const sheet of this.#sheets) returnBuffer(sheet)
    this.#sheets.length = 0
    this.#sheet = undefined
  }

  #room(length: number): Uint8Array {
    if (this.#sheet !== undefined && this.#end + length <= SHEET_BYTES) return this.#sheet
    this.#endPart()
    const buffer = borrowBuffer(SHEET_BYTES, (size) => Buffer.allocUnsafeSlow(size).buffer)
    const sheet = new Uint8Array(buffer, 0, SHEET_BYTES)
    this.#sheets.push(sheet)
    this.#sheet = sheet
    this.#start = 0
    this.#end = 0
    return sheet
  }

  #endPart(): void {
    if (this.#sheet === undefined || this.#end === this.#start) return
    this.parts.push(this.#sheet.subarray(this.#start, this.#end))
    this.#start = this.#end
  }
}
