import { isWhole } from '@atoll/causality'
import { equalBytes, type KeyId } from '@atoll/core'
import { isHeavy, movedEnvelope } from './envelope.ts'
import { type Grounds, isLost } from './ground.ts'
import { indexOperations } from './index-entry.ts'
import { NODE_INDEX } from './index-space.ts'
import { olderKeyOf, type VnodeLayout } from './layout.ts'
import type { Operation } from './ports.ts'
import { recordDeletes, recordPuts } from './record-puts.ts'
import { seal, unseal } from './seal.ts'
import type { WriterParts } from './writer-parts.ts'

/** An index entry in the range of a partition. */
export interface OwnEntry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** What became of a record that a build before has put elsewhere: it may have been written or deleted since. */
export type Converted = 'moved' | 'not there' | 'unreadable'

/** Brings what builds before have put elsewhere to where this one keeps it, each record in its turn with its writes. */
export class RecordMoves {
  readonly #layout: VnodeLayout
  readonly #parts: WriterParts
  readonly #grounds: Grounds

  constructor(layout: VnodeLayout, parts: WriterParts, grounds: Grounds) {
    this.#layout = layout
    this.#parts = parts
    this.#grounds = grounds
  }

  /**
   * Brings the index entries of a record into the order of the node, of which some are in the range of the partition.
   * They are what the record says now. If it cannot say it any more, those that were found go as they are; if there is
   * none, they do not belong to anything.
   */
  async moveIndex(id: KeyId, entries: readonly OwnEntry[]): Promise<void> {
    const place = this.#grounds.placeOf(id)
    const durable = await this.#grounds.inTurn({ place, id, needsValues: undefined }, (ground) => {
      const { record } = ground
      const deletes = entries.map(
        ({ key, value }) => ({ type: 'del', key, replacesBytes: value.length }) as const,
      )
      const puts = indexOperations(
        { id, before: undefined, after: record },
        { ...this.#grounds.where, ...this.#parts.indexing },
      )
      const moved = isLost(ground) ? entries.flatMap((entry) => this.#moved(entry)) : []
      return { committed: this.#parts.committer.commit([...deletes, ...puts, ...moved]) }
    })
    await durable.committed
  }

  /**
   * Brings a record where this build keeps it, from where a build before has put it. The record stays the same, so
   * nothing is derived. It is the key's turn until that is on disk: who writes next reads what lies there then. What
   * the database cannot read stays.
   */
  convert(id: KeyId): Promise<Converted> {
    const { key, name } = this.#grounds.placeOf(id)
    const { committer, order, reader } = this.#parts
    return order.run(name, async () => {
      // What is on its way to the disk is written as it should be, and deletes what it replaces.
      if (order.pending(name) !== undefined) return 'not there'
      const row = await this.#grounds.settled(() => reader.row(key))
      if (row === 'unreadable') return row
      if (row === undefined || equalBytes(row[0], key)) return 'not there'
      await committer.commit(this.#conversionOf(key, row[1]))
      return 'moved'
    })
  }

  #conversionOf(key: Uint8Array, bytes: Uint8Array): readonly Operation[] {
    const { inlineBytes, reader, runtime } = this.#parts
    const older = olderKeyOf(key)
    const before = { bytes: bytes.length, bodyBytes: 0, isOlder: true }
    if (isHeavy(bytes, inlineBytes)) {
      const { record, corrupt, headOfBody } = reader.decode(older, bytes)
      if (record !== undefined && !corrupt && headOfBody === undefined && isWhole(record))
        return recordPuts({ key, record, before }, this.#parts).operations
    }
    const value = movedEnvelope(bytes, { from: older, to: key }, runtime.digest.crc32)
    return [{ type: 'put', key, value, replacesBytes: 0 }, ...recordDeletes(key, before)]
  }

  #moved({ key, value }: OwnEntry): readonly Operation[] {
    const { crc32 } = this.#parts.runtime.digest
    try {
      const to = NODE_INDEX.key(this.#layout.ownIndex.parse(key))
      return [{ type: 'put', key: to, value: seal(to, unseal(key, value, crc32), crc32) }]
    } catch {
      this.#parts.reader.tellCorruptEntry(key)
      return []
    }
  }
}
