import { clockDigest, type RecordHead, type StoredRecord, writesDigest } from '@atoll/causality'
import { type Admission, equalBytes, type KeyId } from '@atoll/core'
import type { Watch } from './change-log.ts'
import { BINARY, readBytes, reading } from './database.ts'
import { countKeys } from './fold.ts'
import { openCursor, openTransfer, packCursor, packTransfer, type TransferNote } from './handoff-notes.ts'
import {
  type Page,
  type PageLimits,
  pagesFrom,
  type RecordDigest,
  readNotedPage,
  readPage,
} from './handoff-pages.ts'
import { type KeyRange, keyText } from './keys.ts'
import { VnodeLayout } from './layout.ts'
import type { Operation } from './ports.ts'
import type { GetReply } from './protocol.ts'
import type { Vnode, VnodeParts } from './vnode.ts'

/** Nobody notes any. */
const NO_CHANGES: Watch = { touched: new Set(), end: () => {} }

export interface HandoffVnodeParts extends VnodeParts {
  readonly admission: Admission
}

/** A vnode as those see it who move its records: pages, digests, notes. */
export class HandoffVnode {
  readonly partition: number
  readonly #vnode: () => Vnode
  readonly #parts: HandoffVnodeParts
  readonly #layout: VnodeLayout

  constructor(partition: number, vnode: () => Vnode, parts: HandoffVnodeParts) {
    this.partition = partition
    this.#vnode = vnode
    this.#parts = parts
    this.#layout = new VnodeLayout(partition)
  }

  /** Resolves when what has begun to be written is on disk, or has failed. */
  idle(): Promise<void> {
    return this.#vnode().idle()
  }

  startNoting(): void {
    this.#vnode().startNoting()
  }

  stopNoting(): void {
    this.#vnode().stopNoting()
  }

  /** Tells the names of records that change from now on, of which notes are kept. */
  watch(): Watch {
    const { changes } = this.#vnode()
    return changes?.watch() ?? NO_CHANGES
  }

  /** Records behind a cursor, as they are on disk now; of one bucket type if it is named. */
  page(cursor: Uint8Array | undefined, limits: PageLimits, type?: string): Promise<Page> {
    return readPage({ ...this.#parts, layout: this.#layout, limits }, this.#rangesAfter(cursor, type))
  }

  /** All pages behind a cursor, each read while whoever goes over them is busy with the one before. */
  pages(cursor: Uint8Array | undefined, limits: PageLimits): AsyncGenerator<Page, void> {
    return pagesFrom(cursor, (next) => this.page(next, limits))
  }

  /** Records of which a change was noted, behind a note. */
  notedPage(after: Uint8Array | undefined, limits: PageLimits): Promise<Page> {
    const space = {
      range: this.#layout.noteRange,
      dataKeyOf: (noteKey: Uint8Array) => this.#layout.dataKeyOf(noteKey),
    }
    return readNotedPage({ ...this.#parts, layout: this.#layout, limits }, space, after)
  }

  /** Records that another node missed, from a hint on. */
  hintedPage(node: string, after: Uint8Array | undefined, limits: PageLimits): Promise<Page> {
    const { hints } = this.#parts
    const range = hints.rangeOf({ partition: this.partition, node })
    const space = { range, dataKeyOf: (hintKey: Uint8Array) => hints.dataKeyOf(hintKey) }
    return readNotedPage({ ...this.#parts, layout: this.#layout, limits }, space, after)
  }

  /** Reads the keys of all notes. */
  countNotes(): Promise<number> {
    return countKeys(this.#parts.database, [this.#layout.noteRange])
  }

  /** At once as far as its order among writes goes: what is queued thereafter stays. */
  async write(operations: readonly Operation[]): Promise<void> {
    await this.#commit(operations)
  }

  /** As `write`. */
  async forgetNotes(noteKeys: readonly Uint8Array[]): Promise<void> {
    await this.#commit(noteKeys.map((key) => ({ type: 'del', key })))
  }

  /** By which a record is known among the names that `watch` tells. */
  nameOf(id: KeyId): string {
    return keyText(this.#layout.dataKey(id))
  }

  /** The same of the record that another node missed. */
  nameOfHint(hintKey: Uint8Array): string {
    return keyText(this.#parts.hints.dataKeyOf(hintKey))
  }

  /** The same of the record that a note is about. */
  nameOfNote(noteKey: Uint8Array): string {
    return keyText(this.#layout.dataKeyOf(noteKey))
  }

  async clearNotes(): Promise<void> {
    const range = { ...BINARY, ...this.#layout.noteRange }
    await reading(() => this.#parts.database.clear(range))
  }

  async holds(entry: RecordDigest): Promise<boolean> {
    const record = await this.#vnode().head(entry.id)
    return record !== undefined && this.#is(record, entry)
  }

  /** What is there of a record now, with its values. */
  read(id: KeyId): Promise<GetReply> {
    return this.#vnode().get(id)
  }

  /**
   * Merges a record that comes from another vnode, whose values must not change until then; resolves when it is on disk, and
   * nobody here has the values any more unless they were kept (`keepBuffer`).
   */
  async merge(id: KeyId, record: StoredRecord): Promise<void> {
    const bytes = record.siblings.reduce((sum, { value }) => sum + value.length, 0)
    await this.#parts.admission.run(bytes, () => this.#vnode().merge({ id, record }, 'handoff'))
  }

  /** Deletes a record unless it has changed. */
  async remove(entry: RecordDigest): Promise<boolean> {
    return this.#vnode().remove(entry.id, (record) => this.#is(record, entry))
  }

  count(type?: string): Promise<number> {
    return countKeys(this.#parts.database, this.#rangesAfter(undefined, type))
  }

  async readTransfer(): Promise<TransferNote | undefined> {
    const key = this.#layout.transferKey
    const stored = await readBytes(this.#parts.database, key)
    if (stored === undefined) return undefined
    return openTransfer(key, stored, this.#crc32) ?? this.#tellDamaged()
  }

  async saveTransfer(note: TransferNote): Promise<void> {
    const key = this.#layout.transferKey
    await this.#commit([{ type: 'put', key, value: packTransfer(key, note, this.#crc32) }])
  }

  async forgetTransfer(): Promise<void> {
    await this.#commit([{ type: 'del', key: this.#layout.transferKey }])
  }

  async readRefill(name: string): Promise<Uint8Array | undefined> {
    const key = this.#layout.refillKey(name)
    const stored = await readBytes(this.#parts.database, key)
    if (stored === undefined) return undefined
    return openCursor(key, stored, this.#crc32) ?? this.#tellDamaged()
  }

  async saveRefill(name: string, cursor: Uint8Array): Promise<void> {
    const key = this.#layout.refillKey(name)
    await this.#commit([{ type: 'put', key, value: packCursor(key, cursor, this.#crc32) }])
  }

  async forgetRefill(name: string): Promise<void> {
    await this.#commit([{ type: 'del', key: this.#layout.refillKey(name) }])
  }

  #rangesAfter(cursor: Uint8Array | undefined, type: string | undefined): readonly KeyRange[] {
    const hasOlder = this.#parts.olderHeads.has(this.partition)
    return this.#layout.rangesAfter(cursor, { hasOlder, type })
  }

  get #crc32() {
    return this.#parts.runtime.digest.crc32
  }

  #is(record: RecordHead, { digest, writes }: RecordDigest): boolean {
    if (!equalBytes(clockDigest(record, this.#parts.runtime.digest.sha1), digest)) return false
    return writes === undefined || equalBytes(writesDigest(record), writes)
  }

  #commit(operations: readonly Operation[]): Promise<void> {
    return operations.length === 0 ? Promise.resolve() : this.#parts.committer.commit(operations)
  }

  #tellDamaged(): undefined {
    const { log, metrics } = this.#parts.runtime
    metrics.count('atoll_vnode_corrupt_notes_total')
    log.error({ partition: this.partition }, 'a note of a handoff is damaged: it begins anew')
  }
}
