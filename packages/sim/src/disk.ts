import { checkInteger } from '@atoll/core'
import { type ArmedFailure, Device, type DeviceCollaborators, type DeviceIdentity } from './device.ts'
import { applyBatch, flipBit } from './disk-image.ts'
import type { DiskOptions } from './options.ts'
import { type Entry, OrderedMap } from './ordered-map.ts'
import { SimLevel } from './sim-level.ts'

/** The content of a disk at some time. */
export class DiskCopy {
  /** @internal */
  readonly map: OrderedMap

  /** Use `SimDisk.copy` or `DiskCopy.of`. */
  constructor(map: OrderedMap) {
    this.map = map
  }

  /** What another program would have left, say. Of two entries with one key the later one counts. */
  static of(entries: readonly Readonly<Entry>[]): DiskCopy {
    const puts = entries.map(({ key, value }) => ({ type: 'put', key, value }) as const)
    return new DiskCopy(applyBatch(OrderedMap.EMPTY, puts))
  }

  /** In the order of their keys. */
  get entries(): readonly Readonly<Entry>[] {
    return this.map.range(EVERYTHING)
  }
}

const EVERYTHING = { lower: undefined, upper: undefined, reverse: false, limit: Number.POSITIVE_INFINITY }

/** A disk of a simulated machine, of which databases are opened and to which things happen. */
export class SimDisk {
  readonly #device: Device
  #restorations = 0

  /** Use `World.disk`. */
  constructor(identity: DeviceIdentity, collaborators: DeviceCollaborators, options: Required<DiskOptions>) {
    this.#device = new Device(identity, collaborators, options)
  }

  /** How often a copy was put in the place of what was stored. */
  get restorations(): number {
    return this.#restorations
  }

  /** How many entries are stored. */
  get entries(): number {
    return this.#device.image.current.size
  }

  /** Bytes of the stored keys and values. */
  get bytes(): number {
    return this.#device.image.current.bytes
  }

  /** How many batches a power cut could take. */
  get unsynced(): number {
    return this.#device.image.unsynced
  }

  /** A database on this disk, with what is on it. Only one can be open at a time: another fails as `LEVEL_LOCKED`. */
  open(options: object = {}): SimLevel {
    return new SimLevel(this.#device, options)
  }

  /**
   * Cuts the power. What was synced stays; of what was not, a prefix that the seed chooses. Pending operations of the open
   * database and all later ones fail; open another.
   */
  crash(): void {
    this.#device.loseUnsynced()
  }

  /** Lets `count` writes (default 1) fail after the next `after` (default 0). A failed write changes nothing. */
  failWrites(failure: ArmedFailure = {}): void {
    this.#device.failingWrites = checkFailure(failure)
  }

  /** Lets `count` reads (default 1) fail after the next `after` (default 0). */
  failReads(failure: ArmedFailure = {}): void {
    this.#device.failingReads = checkFailure(failure)
  }

  /** Makes everything take `factor` times as long. 1 is the usual. */
  slow(factor: number): void {
    this.#device.slowness = checkInteger('factor', factor, { min: 1, max: 1_000_000 })
    this.#device.identity.note(`is ${factor} times as slow as usual`)
  }

  /** Refuses writes that make the contents grow beyond `bytes`; without a number, beyond what there is now. */
  fill(bytes: number = this.bytes): void {
    this.#limit(bytes, 0)
    this.#device.identity.note(`is full at ${bytes} bytes`)
  }

  /** Leaves no more room than `spareBytes`, which is kept for writes that make room: `hasRoom` of the database says so. */
  leaveOnly(spareBytes: number): void {
    this.#limit(
      this.bytes + checkInteger('spareBytes', spareBytes, { min: 1, max: Number.MAX_SAFE_INTEGER }),
      spareBytes,
    )
    this.#device.identity.note(`has no room but ${spareBytes} bytes`)
  }

  /** Flips a bit in each of up to `count` stored values (of those that `where` accepts), and returns their keys. */
  rot(count: number, where: (entry: Readonly<Entry>) => boolean = () => true): Uint8Array[] {
    const { image, prng, identity } = this.#device
    const candidates = image.current
      .range(EVERYTHING)
      .filter((entry) => entry.value.length > 0 && where(entry))
    const rotten = prng.sample(candidates, count)
    for (const entry of rotten) flipBit(entry, prng.below(entry.value.length * 8))
    identity.note(`rotted ${rotten.length} values`)
    return rotten.map((entry) => entry.key)
  }

  /** Loses everything, as when the disk is replaced. */
  wipe(): void {
    this.#device.image.wipe()
    this.#device.detachByForce()
    this.#device.identity.note('was replaced by an empty one')
  }

  /** What is stored now, as a backup of a database that is closed. */
  copy(): DiskCopy {
    return new DiskCopy(this.#device.image.current)
  }

  /** Puts a copy, of this disk or of another one, in the place of what is stored, as when a backup is restored. */
  restore(copy: DiskCopy): void {
    this.#restorations += 1
    this.#device.image.restore(copy.map)
    this.#device.detachByForce()
    this.#device.identity.note(`was restored from a copy of ${copy.map.size} entries`)
  }

  #limit(bytes: number, spareBytes: number): void {
    this.#device.limitBytes = bytes
    this.#device.spareBytes = spareBytes
  }

  /** Ends slowness, fullness and armed failures. What is rotten stays so. */
  heal(): void {
    this.#device.slowness = 1
    this.#limit(Number.POSITIVE_INFINITY, 0)
    this.#device.failingReads = this.#device.failingWrites = checkFailure({ count: 0 })
  }
}

function checkFailure({ count = 1, after = 0 }: ArmedFailure): Required<ArmedFailure> {
  checkInteger('count', count, { min: 0, max: Number.MAX_SAFE_INTEGER })
  checkInteger('after', after, { min: 0, max: Number.MAX_SAFE_INTEGER })
  return { count, after }
}
