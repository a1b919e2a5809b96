import { storedBytes } from './checksum.ts'
import type { InnerReads } from './inner-reads.ts'
import { writeInner } from './inner-writes.ts'
import { type LoggedOp, OP_DELETE, OP_MOVE, OP_SMALL } from './operation.ts'
import {
  APPLIED_KEY,
  asBuffer,
  decodeStored,
  encodePointer,
  isPointer,
  type Pointer,
  samePlace,
} from './pointer.ts'
import { BYTES, type InnerBatch, type InnerEncodings, type InnerLevel } from './ports.ts'
import type { Segments } from './segments.ts'

export interface ApplierContext {
  readonly segments: Segments
  readonly thresholdBytes: number
}

/** A put that replaces something by as much less leaves something to be given back. */
const LESS_BYTES = 256

/**
 * Brings operations of the log into the inner database, in the order of the log, and counts which large values go
 * out of use. It asks the inner database what a key pointed to before, but for small puts only if their writer says
 * that they hide a large value: it would halve their rate. What others hide is found by the recounts of the compactor.
 */
export class Applier {
  readonly #inner: InnerLevel
  readonly #segments: Segments
  readonly #reads: InnerReads
  /** A database in memory would keep a whole record alive for one small value of it. */
  readonly #copies: boolean
  /** Named only to a database with other defaults: abstract-level then takes several times as long for an operation. */
  readonly #encodings: Partial<InnerEncodings>

  /** Values from here on are large. */
  readonly #thresholdBytes: number
  /** Bytes of keys and small values that went out of use in the inner database, as far as their writers have said. */
  goneBytes = 0

  constructor(inner: InnerLevel, reads: InnerReads, { segments, thresholdBytes }: ApplierContext) {
    this.#inner = inner
    this.#thresholdBytes = thresholdBytes
    this.#reads = reads
    this.#segments = segments
    this.#copies = !inner.supports.permanence
    const takesBytes = inner.keyEncoding().name === 'view' && inner.valueEncoding().name === 'view'
    this.#encodings = takesBytes ? {} : BYTES
  }

  /** Applies the operations of all records up to that of `sequence`, which must be durable. */
  async apply(ops: readonly LoggedOp[], sequence: number): Promise<void> {
    if (ops.length === 0) return
    const hiding = this.#mayHold(ops) ? ops.filter((op) => this.#mayHide(op)) : []
    const known = hiding.length === 0 ? undefined : await this.#pointersOf(hiding)
    const batch = this.#inner.batch()
    for (const op of ops) {
      if (known === undefined) this.#countNew(op)
      else if (!this.#counts(op, known)) continue
      this.#add(op, batch)
      this.goneBytes += this.#goneBy(op)
    }
    batch.put(APPLIED_KEY, encodeSequence(sequence), this.#encodings)
    await writeInner(this.#inner, batch, { sync: false })
    const isUnsure = ops.some(({ type, replaces }) => type === OP_SMALL && replaces === undefined)
    if (isUnsure) this.#segments.doubt()
  }

  /** The sequence of the last record that was applied, as far as the inner database knows. */
  async lastApplied(): Promise<number> {
    const value = await this.#inner.get(APPLIED_KEY, BYTES)
    return value === undefined ? 0 : asBuffer(value).readUIntLE(0, 6)
  }

  /** Whether there are large values, or will be. */
  #mayHold(ops: readonly LoggedOp[]): boolean {
    return this.#segments.totalLive > 0 || ops.some(({ pointer }) => pointer !== undefined)
  }

  /** What the keys point to now. */
  async #pointersOf(ops: readonly LoggedOp[]): Promise<Map<string, Pointer | undefined>> {
    const found = await this.#reads.getMany(ops.map(({ key }) => key))
    const known = new Map<string, Pointer | undefined>()
    ops.forEach(({ id }, index) => {
      const value = found[index]
      const stored = value === undefined ? undefined : decodeStored(value)
      known.set(id, isPointer(stored) ? stored : undefined)
    })
    return known
  }

  #countNew({ pointer }: LoggedOp): void {
    if (pointer !== undefined) this.#segments.addLive(pointer.slot, storedBytes(pointer.bytes))
  }

  /** Counts what becomes of large values; false for a move that came too late. */
  #counts(op: LoggedOp, known: Map<string, Pointer | undefined>): boolean {
    const old = known.get(op.id)
    if (op.type === OP_MOVE && (old === undefined || op.from === undefined || !samePlace(old, op.from))) {
      return false
    }
    if (old !== undefined) this.#segments.addLive(old.slot, -storedBytes(old.bytes))
    if (op.pointer !== undefined) this.#segments.addLive(op.pointer.slot, storedBytes(op.pointer.bytes))
    known.set(op.id, op.pointer)
    return true
  }

  #add({ key, inline, pointer }: LoggedOp, batch: InnerBatch): void {
    const ownKey = this.#owned(key)
    if (pointer !== undefined) batch.put(ownKey, encodePointer(pointer), this.#encodings)
    else if (inline === undefined) batch.del(ownKey, this.#encodings)
    else batch.put(ownKey, this.#owned(inline), this.#encodings)
  }

  /** Deletes and large puts are looked up unless their writer knows better; small puts only if he does. */
  #mayHide({ type, replaces }: LoggedOp): boolean {
    if (replaces === undefined) return type !== OP_SMALL
    return replaces >= this.#thresholdBytes
  }

  #goneBy({ type, key, inline, replaces }: LoggedOp): number {
    const small = replaces !== undefined && replaces < this.#thresholdBytes ? replaces : 0
    if (type === OP_DELETE) return key.length + small
    const less = small - (inline?.length ?? 0)
    return less >= LESS_BYTES ? less : 0
  }

  #owned(bytes: Uint8Array): Uint8Array {
    return this.#copies ? Uint8Array.from(bytes) : bytes
  }
}

function encodeSequence(sequence: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(6)
  bytes.writeUIntLE(sequence, 0, 6)
  return bytes
}
