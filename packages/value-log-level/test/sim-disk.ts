import { MemoryLevel } from 'memory-level'
import type { DataFile, DurableFile, Files } from '../src/index.ts'

/** Something that was done to the disk or to the inner database, in order. */
export type DiskOp =
  | { readonly op: 'create'; readonly name: string }
  | { readonly op: 'write'; readonly name: string; readonly bytes: Uint8Array; readonly position: number }
  | { readonly op: 'truncate'; readonly name: string; readonly size: number }
  /** Of all bytes of a file, or of those of one write. */
  | { readonly op: 'sync'; readonly name: string; readonly only?: DiskOp }
  | { readonly op: 'whole'; readonly name: string; readonly bytes: Uint8Array }
  | { readonly op: 'remove'; readonly name: string }
  | { readonly op: 'sync-directory' }
  | { readonly op: 'inner'; readonly batch: readonly InnerChange[]; readonly sync: boolean }
  | { readonly op: 'note'; readonly note: number }

export interface InnerChange {
  readonly key: string
  readonly value: Uint8Array | undefined
}

/** What a disk and an inner database hold. */
export interface Image {
  readonly files: Map<string, Uint8Array>
  readonly inner: Map<string, Uint8Array>
}

export const emptyImage = (): Image => ({ files: new Map(), inner: new Map() })

/** How an operation fails; `undefined` lets it pass. `number` counts the operations that can fail. */
export type Fault = (number: number, op: string, name: string) => Error | undefined

/** A disk in memory that remembers what was done to it, and fails where it is told to. */
export class SimDisk {
  readonly trace: DiskOp[] = []
  readonly image: Image
  fault: Fault = () => undefined
  freeBytes = 1e9
  /** Whether files can be opened for durable writes. */
  readonly writesDurably: boolean
  /** Files that were closed for good while they were written, or written when they were closed. */
  readonly misused: string[] = []
  /** Counts operations that could fail. */
  operations = 0
  /** Waited before each operation: `setImmediate` lets others have a turn. */
  delay: (op: string) => Promise<unknown> = () => Promise.resolve()

  constructor(image: Image = emptyImage(), { writesDurably = false } = {}) {
    this.image = image
    this.writesDurably = writesDurably
  }

  async step(op: string, name: string): Promise<void> {
    this.operations += 1
    const error = this.fault(this.operations, op, name)
    await this.delay(op)
    if (error !== undefined) throw error
  }

  do(op: DiskOp): void {
    this.trace.push(op)
    apply(this.image, op)
  }

  note(note: number): void {
    this.trace.push({ op: 'note', note })
  }

  files(): Files {
    return {
      label: 'the simulated disk',
      list: async () => {
        await this.step('list', '')
        return this.image.files.size === 0 ? undefined : [...this.image.files.keys()]
      },
      prepare: () => this.step('prepare', ''),
      readWhole: async (name) => {
        await this.step('read', name)
        return this.image.files.get(name)
      },
      writeWhole: async (name, bytes) => {
        await this.step('whole', name)
        this.do({ op: 'whole', name, bytes: bytes.slice() })
      },
      open: async (name) => {
        await this.step('open', name)
        if (!this.image.files.has(name)) this.do({ op: 'create', name })
        return new SimFile(this, name)
      },
      ...(this.writesDurably ? { openDurable: (name: string) => this.#openDurable(name) } : {}),
      remove: async (name) => {
        await this.step('remove', name)
        if (this.image.files.has(name)) this.do({ op: 'remove', name })
      },
      syncDirectory: async () => {
        await this.step('sync-directory', '')
        this.do({ op: 'sync-directory' })
      },
      freeBytes: async () => this.freeBytes,
    }
  }

  async #openDurable(name: string): Promise<DurableFile> {
    await this.step('open', name)
    const file = new SimFile(this, name)
    return { write: (buffers, position) => file.writeDurably(buffers, position), close: () => file.close() }
  }

  inner(): SimInner {
    return new SimInner(this)
  }
}

class SimFile implements DataFile {
  readonly #disk: SimDisk
  readonly #name: string
  #writes = 0
  #isClosed = false

  constructor(disk: SimDisk, name: string) {
    this.#disk = disk
    this.#name = name
  }

  get #bytes(): Uint8Array {
    return this.#disk.image.files.get(this.#name) ?? new Uint8Array(0)
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    await this.#disk.step('read', this.#name)
    const part = this.#bytes.subarray(position, position + target.length)
    target.set(part)
    return part.length
  }

  async write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    await this.#write(buffers, position)
  }

  /** What is synced are these bytes alone. */
  async writeDurably(buffers: readonly Uint8Array[], position: number): Promise<void> {
    const only = await this.#write(buffers, position)
    await this.#disk.step('sync', this.#name)
    this.#disk.do({ op: 'sync', name: this.#name, only })
  }

  async #write(buffers: readonly Uint8Array[], position: number): Promise<DiskOp> {
    this.#writes += 1
    try {
      return await this.#writeWholly(buffers, position)
    } finally {
      this.#writes -= 1
      // Its number may be that of another file by now.
      if (this.#isClosed) this.#disk.misused.push(this.#name)
    }
  }

  /** A write that fails is done in part. */
  async #writeWholly(buffers: readonly Uint8Array[], position: number): Promise<DiskOp> {
    const bytes = Buffer.concat(buffers)
    const write = { op: 'write', name: this.#name, position } as const
    try {
      await this.#disk.step('write', this.#name)
    } catch (error) {
      this.#disk.do({ ...write, bytes: bytes.subarray(0, bytes.length / 2) })
      throw error
    }
    const whole = { ...write, bytes }
    this.#disk.do(whole)
    return whole
  }

  async truncate(size: number): Promise<void> {
    await this.#disk.step('truncate', this.#name)
    this.#disk.do({ op: 'truncate', name: this.#name, size })
  }

  async sync(): Promise<void> {
    await this.#disk.step('sync', this.#name)
    this.#disk.do({ op: 'sync', name: this.#name })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#writes > 0) this.#disk.misused.push(this.#name)
  }
}

interface Batch {
  readonly type: 'put' | 'del'
  readonly key: Uint8Array
  readonly value?: Uint8Array
}

/** A memory-level whose batches are part of the trace. */
class SimInner extends MemoryLevel<Uint8Array, Uint8Array> {
  readonly #disk: SimDisk

  constructor(disk: SimDisk) {
    super({ keyEncoding: 'view', valueEncoding: 'view', storeEncoding: 'view' })
    this.#disk = disk
  }

  async _open(): Promise<void> {
    const ops = [...this.#disk.image.inner].map(([key, value]) => ({
      type: 'put',
      key: Buffer.from(key, 'hex'),
      value,
    }))
    await this.#write(ops, {})
  }

  async _batch(ops: Batch[], options: { sync?: boolean }): Promise<void> {
    await this.#disk.step('inner', '')
    const batch = ops.map(({ key, value }) => ({
      key: Buffer.from(key).toString('hex'),
      value: value?.slice(),
    }))
    this.#disk.do({ op: 'inner', batch, sync: options.sync === true })
    await this.#write(ops, options)
  }

  #write(ops: object[], options: object): Promise<void> {
    return Reflect.apply(Reflect.get(MemoryLevel.prototype, '_batch'), this, [ops, options])
  }
}

function apply({ files, inner }: Image, op: DiskOp): void {
  if (op.op === 'create') files.set(op.name, new Uint8Array(0))
  else if (op.op === 'whole') files.set(op.name, op.bytes.slice())
  else if (op.op === 'remove') files.delete(op.name)
  else if (op.op === 'truncate') files.set(op.name, resized(files.get(op.name), op.size))
  else if (op.op === 'write') write(files, op)
  else if (op.op === 'inner') {
    for (const { key, value } of op.batch) {
      if (value === undefined) inner.delete(key)
      else inner.set(key, value)
    }
  }
}

function write(
  files: Map<string, Uint8Array>,
  op: { name: string; bytes: Uint8Array; position: number },
): void {
  const end = op.position + op.bytes.length
  let bytes = files.get(op.name)
  if (bytes === undefined || bytes.length < end) {
    bytes = resized(bytes, end)
    files.set(op.name, bytes)
  }
  bytes.set(op.bytes, op.position)
}

function resized(bytes: Uint8Array | undefined, size: number): Uint8Array {
  const result = new Uint8Array(size)
  if (bytes !== undefined) result.set(bytes.subarray(0, size))
  return result
}

export type Draw = (limit: number) => number

/** A small seeded generator (mulberry32). */
export function drawFrom(seed: number): Draw {
  return (limit) => {
    seed = (seed + 0x6d2b79f5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * limit)
  }
}

/** What a crash leaves of an operation that was not synced. */
export type Fate = 'kept' | 'lost' | 'torn'

const SECTOR_BYTES = 512

/**
 * What may be found after a crash: everything that was synced, and of the rest what `fate` says. The inner database
 * keeps its batches in order, as a log does: what follows a lost one is lost too.
 */
export function crashImage(
  start: Image,
  trace: readonly DiskOp[],
  fate: (op: DiskOp) => Fate,
  draw: Draw,
): Image {
  const image = {
    files: new Map([...start.files].map(([n, b]) => [n, b.slice()])),
    inner: new Map(start.inner),
  }
  const durable = durableOps(trace)
  let innerLost = false
  trace.forEach((op, index) => {
    let outcome = durable.has(index) ? 'kept' : fate(op)
    if (op.op === 'inner') {
      if (outcome !== 'kept') innerLost = true
      if (innerLost) return
    } else if (outcome === 'torn' && op.op !== 'write') outcome = 'lost'
    if (outcome === 'kept') apply(image, op)
    else if (outcome === 'torn' && op.op === 'write') tear(image, op, draw)
  })
  return image
}

/** Some sectors of the write arrive, and some do not. */
function tear({ files }: Image, op: { name: string; bytes: Uint8Array; position: number }, draw: Draw): void {
  if (!files.has(op.name)) return
  for (let at = 0; at < op.bytes.length; ) {
    const absolute = op.position + at
    const end = Math.min(op.bytes.length, at + SECTOR_BYTES - (absolute % SECTOR_BYTES))
    if (draw(2) === 0) write(files, { name: op.name, bytes: op.bytes.subarray(at, end), position: absolute })
    at = end
  }
}

/** Which operations no crash can undo. */
function durableOps(trace: readonly DiskOp[]): Set<number> {
  const durable = new Set<number>()
  const waiting = new Map<string, number[]>()
  const settle = (key: string) => {
    for (const index of waiting.get(key) ?? []) durable.add(index)
    waiting.delete(key)
  }
  const wait = (key: string, index: number) => {
    const list = waiting.get(key) ?? []
    list.push(index)
    waiting.set(key, list)
  }
  trace.forEach((op, index) => {
    if (op.op === 'whole') durable.add(index)
    else if (op.op === 'create' || op.op === 'remove') wait('directory', index)
    else if (op.op === 'sync-directory') settle('directory')
    else if (op.op === 'write' || op.op === 'truncate') wait(`file ${op.name}`, index)
    else if (op.op === 'sync' && op.only !== undefined) durable.add(trace.indexOf(op.only))
    else if (op.op === 'sync') settle(`file ${op.name}`)
    else if (op.op === 'inner') {
      wait('inner', index)
      if (op.sync) settle('inner')
    }
  })
  return durable
}
