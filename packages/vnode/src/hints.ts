import { concatBytes, fromUtf8, isAtollError, type Runtime, toHex, utf8 } from '@atoll/core'
import { overlapping } from '@atoll/ring'
import { BINARY, NOTED, reading } from './database.ts'
import {
  HINT_RANGE,
  type HintKey,
  type HintPlace,
  hintKeyRange,
  hintPrefix,
  hintRangeOf,
  parseHintKey,
} from './hint-layout.ts'
import { type KeyRange, keyText } from './keys.ts'
import { nameBytesOf, VnodeLayout } from './layout.ts'
import type { Database, Operation } from './ports.ts'
import { seal, unseal } from './seal.ts'

export interface HintsParts {
  readonly runtime: Runtime
  readonly database: Database
  /** Keys that are noted for one node at most; past it whole partitions are. */
  readonly maxKeys: number
}

/** What one node is owed of a partition. */
export interface Hinted extends HintPlace {
  /** Records, by key. */
  readonly keys: number
  /** Whether there were too many to be noted one by one. */
  readonly isWhole: boolean
}

interface Entry {
  readonly place: HintPlace
  /** Names of the keys that are noted, those on their way to the disk among them. */
  keys: Set<string>
  /** Those that were noted since somebody began to watch. */
  touched: Set<string>
  /** Names the refill that the whole partition is owed by; undefined if it is not. */
  whole: string | undefined
  /** Whether that refill may have begun: what is missed thereafter is noted by key again. */
  isFilling: boolean
}

const NOTE_VERSION = new Uint8Array([1])
const STAMP_BYTES = 6
const CHUNK = 1000

/**
 * Which records other holders of a partition missed, because they could not be reached when this node took them. A hint is
 * written in the batch of the record, and goes when the other node has the record. Only so many keys are noted for a node;
 * past that the whole partition is owed to it. Nothing is ever forgotten because it is too much.
 *
 * What is known here in memory is never less than what is on the disk.
 */
export class Hints {
  readonly #parts: HintsParts
  readonly #entries = new Map<string, Entry>()
  /** By node. */
  readonly #counts = new Map<string, number>()
  #partitions = 0

  constructor(parts: HintsParts) {
    this.#parts = parts
  }

  /** Reads what is on disk, of a ring with so many partitions. */
  async load(partitions: number): Promise<void> {
    this.clear()
    this.#partitions = partitions
    await this.#each(HINT_RANGE, (key, value) => {
      const hint = parseHintKey(key)
      if (hint.partitions !== partitions) return
      const entry = this.#entryOf(hint)
      if (hint.name.length === 0) {
        entry.whole = this.#stampIn(key, value)
        entry.isFilling = true
      } else this.#add(entry, nameOf(hint))
    })
    this.#tell()
  }

  /** All that is owed, in no order. */
  all(): readonly Hinted[] {
    return Array.from(this.#entries.values(), ({ place, keys, whole }) => {
      return { ...place, keys: keys.size, isWhole: whole !== undefined }
    })
  }

  /** To be written with the record, or after it: that these nodes miss it. */
  note(layout: VnodeLayout, dataKey: Uint8Array, nodes: readonly string[]): readonly Operation[] {
    const name = nameBytesOf(dataKey)
    const operations = nodes.flatMap((node) => {
      const place = { partition: layout.partition, node }
      const entry = this.#entryOf(place)
      // Said each time: the batch that said it before may be under way, or fail.
      if (entry.whole !== undefined && !entry.isFilling) return [this.#markOf(entry, entry.whole)]
      const text = keyText(dataKey)
      entry.touched.add(text)
      this.#add(entry, text)
      if ((this.#counts.get(node) ?? 0) > this.#parts.maxKeys) return this.#oweWhole(entry)
      const key = concatBytes([hintPrefix(place, this.#partitions), name])
      return [{ type: 'put', key, value: NOTE_VERSION } as const]
    })
    this.#parts.runtime.metrics.count('atoll_vnode_hints_total', nodes.length)
    this.#tellKeys()
    return operations
  }

  /** To be written: that a node may lack anything of a partition. */
  owe(place: HintPlace): readonly Operation[] {
    const entry = this.#entryOf(place)
    const { whole, isFilling } = entry
    return whole === undefined || isFilling ? this.#oweWhole(entry) : [this.#markOf(entry, whole)]
  }

  /** The names of keys that are noted from now on, until it is asked again. */
  watch(place: HintPlace): ReadonlySet<string> {
    const entry = this.#entryOf(place)
    entry.touched = new Set()
    return entry.touched
  }

  rangeOf(place: HintPlace): KeyRange {
    return hintKeyRange(place, this.#partitions)
  }

  dataKeyOf(hintKey: Uint8Array): Uint8Array {
    const { partition, name } = parseHintKey(hintKey)
    return new VnodeLayout(partition).dataKeyAt(name)
  }

  /** The name of the refill that a whole partition is owed by. What is missed from now on is noted by key again. */
  beginFilling(place: HintPlace): string | undefined {
    const entry = this.#entries.get(nameOfPlace(place))
    if (entry?.whole === undefined) return undefined
    entry.isFilling = true
    return refillName(entry.whole)
  }

  /** That the refill is done, to be written; nothing if another one has to be begun since. */
  filled(place: HintPlace, refill: string): readonly Operation[] {
    if (!this.#isOwedBy(place, refill)) return []
    return [{ type: 'del', key: hintPrefix(place, this.#partitions) }]
  }

  /** That is on disk. */
  endFilling(place: HintPlace, refill: string): void {
    if (!this.#isOwedBy(place, refill)) return
    const entry = this.#entryOf(place)
    entry.whole = undefined
    entry.isFilling = false
  }

  /** Looks what is left on disk. `touched` are those that were noted since before, which may still be on their way there. */
  async reload(place: HintPlace, touched: ReadonlySet<string>): Promise<void> {
    const found = new Set<string>()
    await this.#each(this.rangeOf(place), (key) => void found.add(nameOf(parseHintKey(key))))
    const entry = this.#entryOf(place)
    this.#keep(entry, new Set([...found, ...touched]))
    if (entry.keys.size === 0 && entry.whole === undefined) this.#entries.delete(nameOfPlace(place))
    this.#tell()
  }

  /** The partition is deleted. */
  async drop(partition: number): Promise<void> {
    const range = hintRangeOf(partition, this.#partitions)
    for (const [name, entry] of this.#entries) {
      if (entry.place.partition !== partition) continue
      this.#keep(entry, new Set())
      this.#entries.delete(name)
    }
    await reading(() => this.#parts.database.clear({ ...BINARY, ...range }))
    this.#tell()
  }

  /**
   * The ring has got more partitions: of each that was owed something, all that it has become is owed as a whole. Does
   * nothing to what has been filed so already.
   */
  async refile(partitions: number): Promise<void> {
    const places = new Map<string, HintKey>()
    const old: Operation[] = []
    await this.#each(HINT_RANGE, (key) => {
      const hint = parseHintKey(key)
      if (hint.partitions === partitions) return
      places.set(`${hint.partitions} ${nameOfPlace(hint)}`, hint)
      old.push({ type: 'del', key })
    })
    const marks = [...places.values()].flatMap(({ node, partition, partitions: before }) =>
      overlapping(partition, before, partitions).map((part) => {
        return this.#mark({ partition: part, node }, partitions, this.#newStamp())
      }),
    )
    await this.#write(marks)
    for (let at = 0; at < old.length; at += CHUNK) await this.#write(old.slice(at, at + CHUNK))
  }

  clear(): void {
    this.#entries.clear()
    this.#counts.clear()
  }

  #isOwedBy(place: HintPlace, refill: string): boolean {
    const whole = this.#entries.get(nameOfPlace(place))?.whole
    return whole !== undefined && refillName(whole) === refill
  }

  #entryOf({ partition, node }: HintPlace): Entry {
    const name = nameOfPlace({ partition, node })
    const known = this.#entries.get(name)
    if (known !== undefined) return known
    const entry: Entry = {
      place: { partition, node },
      keys: new Set(),
      touched: new Set(),
      whole: undefined,
      isFilling: false,
    }
    this.#entries.set(name, entry)
    return entry
  }

  #add(entry: Entry, name: string): void {
    if (entry.keys.has(name)) return
    entry.keys.add(name)
    this.#counts.set(entry.place.node, (this.#counts.get(entry.place.node) ?? 0) + 1)
  }

  #keep(entry: Entry, keys: Set<string>): void {
    const { node } = entry.place
    this.#counts.set(node, (this.#counts.get(node) ?? 0) + keys.size - entry.keys.size)
    entry.keys = keys
  }

  /** A refill that has begun before would not come to what was missed behind it: another one begins. */
  #oweWhole(entry: Entry): readonly Operation[] {
    const { place, whole: before } = entry
    const stamp = this.#newStamp()
    this.#keep(entry, new Set())
    entry.whole = stamp
    entry.isFilling = false
    this.#tell()
    this.#parts.runtime.log.warn(
      { ...place },
      `${place.node} may lack so much of a partition that it is owed all of it`,
    )
    const forgotten =
      before === undefined ? [] : [new VnodeLayout(place.partition).refillKey(refillName(before))]
    return [this.#markOf(entry, stamp), ...forgotten.map((key) => ({ type: 'del', key }) as const)]
  }

  #markOf({ place }: Entry, stamp: string): Operation {
    return this.#mark(place, this.#partitions, stamp)
  }

  #mark(place: HintPlace, partitions: number, stamp: string): Operation {
    const key = hintPrefix(place, partitions)
    return { type: 'put', key, value: seal(key, utf8(stamp), this.#parts.runtime.digest.crc32) }
  }

  #newStamp(): string {
    return toHex(this.#parts.runtime.random.bytes(STAMP_BYTES))
  }

  /** A damaged one says all that matters: which partition is owed. */
  #stampIn(key: Uint8Array, value: Uint8Array): string {
    try {
      return fromUtf8(unseal(key, value, this.#parts.runtime.digest.crc32))
    } catch (error) {
      if (!isAtollError(error, 'ATOLL_CORRUPT')) throw error
      this.#parts.runtime.metrics.count('atoll_vnode_corrupt_notes_total')
      return this.#newStamp()
    }
  }

  #write(operations: Operation[]): Promise<void> {
    if (operations.length === 0) return Promise.resolve()
    return this.#parts.database.batch(operations, NOTED)
  }

  #each(range: KeyRange, take: (key: Uint8Array, value: Uint8Array) => void): Promise<void> {
    return reading(async () => {
      const iterator = this.#parts.database.iterator({ ...BINARY, ...range })
      try {
        for (;;) {
          const rows = await iterator.nextv(CHUNK)
          if (rows.length === 0) return
          for (const [key, value] of rows) take(key, value)
        }
      } finally {
        await iterator.close()
      }
    })
  }

  #tell(): void {
    this.#tellKeys()
    const whole = [...this.#entries.values()].filter((entry) => entry.whole !== undefined)
    this.#parts.runtime.metrics.gauge('atoll_vnode_hinted_partitions', whole.length)
  }

  #tellKeys(): void {
    let keys = 0
    for (const count of this.#counts.values()) keys += count
    this.#parts.runtime.metrics.gauge('atoll_vnode_hinted_keys', keys)
  }
}

function nameOf({ partition, name }: HintKey): string {
  return keyText(new VnodeLayout(partition).dataKeyAt(name))
}

function nameOfPlace({ partition, node }: HintPlace): string {
  return `${partition} ${node}`
}

function refillName(stamp: string): string {
  return `hint.${stamp}`
}
