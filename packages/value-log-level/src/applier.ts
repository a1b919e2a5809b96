import { storedBytes } from './checksum.ts'
import type { InnerReads } from './inner-reads.ts'
import {
  APPLIED_KEY,
  asBuffer,
  decodeStored,
  encodePointer,
  isPointer,
  keyId,
  type Pointer,
  samePlace,
} from './pointer.ts'
import { BYTES, type InnerLevel, type InnerOperation, innerDelete, innerPut } from './ports.ts'
import { type LoggedOp, OP_LARGE, OP_MOVE, OP_SMALL } from './record.ts'
import type { Segments } from './segments.ts'

/**
 * Brings operations of the log into the inner database, in the order of the log, and counts which large values go
 * out of use. It asks the inner database what a key pointed to before, but not for small puts: that would
 * halve their rate. What those hide is found by the recounts of the compactor.
 */
export class Applier {
  readonly #inner: InnerLevel
  readonly #segments: Segments
  readonly #reads: InnerReads
  /** A database in memory would keep a whole record alive for one small value of it. */
  readonly #copies: boolean

  constructor(inner: InnerLevel, reads: InnerReads, segments: Segments) {
    this.#inner = inner
    this.#reads = reads
    this.#segments = segments
    this.#copies = !inner.supports.permanence
  }

  /** Applies the operations of all records up to that of `sequence`, which must be durable. */
  async apply(ops: readonly LoggedOp[], sequence: number): Promise<void> {
    if (ops.length === 0) return
    const known = this.#mustLook(ops) ? await this.#pointersOf(ops) : undefined
    const operations: InnerOperation[] = []
    for (const op of ops) {
      const operation = known === undefined ? plain(op) : this.#counted(op, known)
      if (operation !== undefined) operations.push(this.#copies ? copied(operation) : operation)
    }
    operations.push(innerPut(APPLIED_KEY, encodeSequence(sequence)))
    await this.#inner.batch(operations, {})
  }

  /** The sequence of the last record that was applied, as far as the inner database knows. */
  async lastApplied(): Promise<number> {
    const value = await this.#inner.get(APPLIED_KEY, BYTES)
    return value === undefined ? 0 : asBuffer(value).readUIntLE(0, 6)
  }

  #mustLook(ops: readonly LoggedOp[]): boolean {
    const some = ops.some(({ pointer }) => pointer !== undefined)
    return some || (this.#segments.totalLive > 0 && ops.some(({ type }) => type !== OP_SMALL))
  }

  /** What the keys point to now, except those of small puts. */
  async #pointersOf(ops: readonly LoggedOp[]): Promise<Map<string, Pointer | undefined>> {
    const keys = ops.filter(({ type }) => type !== OP_SMALL).map(({ key }) => key)
    const found = await this.#reads.getMany(keys)
    const known = new Map<string, Pointer | undefined>()
    keys.forEach((key, index) => {
      const value = found[index]
      const stored = value === undefined ? undefined : decodeStored(value)
      known.set(keyId(key), isPointer(stored) ? stored : undefined)
    })
    return known
  }

  #counted(op: LoggedOp, known: Map<string, Pointer | undefined>): InnerOperation | undefined {
    const id = keyId(op.key)
    const old = known.get(id)
    if (op.type === OP_MOVE && (old === undefined || op.from === undefined || !samePlace(old, op.from))) {
      return undefined
    }
    if (old !== undefined) this.#segments.addLive(old.slot, -storedBytes(old.bytes))
    if (op.pointer !== undefined) this.#segments.addLive(op.pointer.slot, storedBytes(op.pointer.bytes))
    known.set(id, op.pointer)
    return plain(op)
  }
}

function encodeSequence(sequence: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(6)
  bytes.writeUIntLE(sequence, 0, 6)
  return bytes
}

function plain({ type, key, inline, pointer }: LoggedOp): InnerOperation {
  if (inline !== undefined) return innerPut(key, inline)
  if (pointer !== undefined && (type === OP_LARGE || type === OP_MOVE)) {
    return innerPut(key, encodePointer(pointer))
  }
  return innerDelete(key)
}

function copied(operation: InnerOperation): InnerOperation {
  const key = Uint8Array.from(operation.key)
  if (operation.type === 'del') return innerDelete(key)
  return innerPut(key, Uint8Array.from(operation.value))
}
