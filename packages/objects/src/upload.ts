import {
  AtollError,
  type DigestStream,
  isAtollError,
  messageOf,
  returnBuffer,
  sumForGood,
  wallTimeOf,
} from '@atoll/core'
import { abortable, throwIfAborted } from './abort.ts'
import { BlockCutter } from './block-cutter.ts'
import { type Block, type BlockSet, type BlockWrite, WRITE_ID_BYTES } from './blocks.ts'
import type { BodySource } from './body-source.ts'
import { forgetUpload, type History, isAlive } from './history.ts'
import { InFlight } from './in-flight.ts'
import type { Layer } from './layer.ts'
import type { Manifest } from './manifest.ts'
import { crowded, type Known, NOTHING_KNOWN, REWRITE_ROUNDS, withManifests } from './manifest-records.ts'
import type { PlacedObject } from './object-name.ts'
import { persistently } from './patience.ts'
import type { PutRequest } from './requests.ts'
import type { Release } from './slots.ts'
import { newUuid } from './uuid.ts'

export interface UploadedBody {
  readonly uuid: string
  readonly size: number
  readonly md5: Uint8Array
  /** CRC-32 of each block, 4 bytes, big-endian. */
  readonly checksums: Uint8Array
  readonly blocks: number
}

/** Blocks that an upload of unknown length announces at first; then four times as many whenever they are used up. */
const FIRST_BLOCKS = 64

/**
 * One body on its way into blocks. Before the first block goes to a disk a `writing` manifest says that they may exist,
 * how many, and until when to leave them alone; so whatever becomes of this process, they are found. While that is on
 * its way the first blocks are read, cut and digested.
 */
export class Upload {
  /** Fewest primaries that had a block on disk when it was answered. */
  primaries = Number.POSITIVE_INFINITY
  /** True once its version was written, unless that was declined. */
  mayBeVisible = false
  readonly #layer: Layer
  readonly #name: PlacedObject
  readonly #request: PutRequest
  readonly #set: BlockSet
  readonly #window: InFlight
  readonly #digest: DigestStream
  #digesting: Promise<Uint8Array> | undefined
  readonly #checksums: number[] = []
  /** The first manifest on its way. */
  #announcing: Promise<void> = Promise.resolve()
  #isAnnounced = false
  #announced = 0
  #leaseEndsMs = 0
  #renewedAtMs = 0
  #size = 0
  #durableBytes = 0
  /** All that is known of the object's record, as long as that is the upload's own note. */
  #known: Known | undefined = NOTHING_KNOWN
  /** True once something failed of which it is unknown whether it happened, or will: cleaning up cannot be certain. */
  #uncertain = false

  constructor(layer: Layer, name: PlacedObject, request: PutRequest) {
    this.#layer = layer
    this.#name = name
    this.#request = request
    this.#set = { type: name.type.blocks, bucket: name.id.bucket, uuid: newUuid(layer.runtime) }
    this.#window = new InFlight(layer.settings.writeConcurrency)
    this.#digest = layer.runtime.digest.stream('md5')
  }

  /** Hands the body to the store: first the chunks that were read already, then the rest. */
  async write(head: readonly Uint8Array[], source: BodySource): Promise<void> {
    const { settings } = this.#layer
    const { knownBytes, staying } = source
    this.#announcing = this.#announce(
      knownBytes === undefined ? FIRST_BLOCKS : Math.ceil(knownBytes / settings.blockBytes),
    )
    this.#announcing.catch(() => {})
    const cutter = new BlockCutter(settings.blockBytes, { staying, knownBytes })
    for (const chunk of head) await this.#addAll(cutter.push(chunk))
    for (let chunk = await this.#next(source); chunk !== undefined; chunk = await this.#next(source))
      await this.#addAll(cutter.push(chunk))
    const last = cutter.end()
    if (last !== undefined) await this.#addAll([last])
    // In the turn of the last block, so that the digest thread is woken once for both.
    this.#md5().catch(() => {})
    // Whoever reads the history now finds the manifest in it, and replaces it with the next one.
    await this.#announcing
  }

  /** Resolves when every block is durable. */
  async finish(): Promise<UploadedBody> {
    const [md5] = await Promise.all([this.#md5(), this.#window.drain()])
    const { uuid } = this.#set
    const blocks = this.#checksums.length
    return { uuid, size: this.#size, md5, checksums: bigEndian(this.#checksums), blocks }
  }

  /** What the record holds if that needs no reading. */
  get known(): Known | undefined {
    return this.#known
  }

  /** Throws if the upload was silent for so long that a collection may take it for dead: it need not try. */
  checkLease(): void {
    if (this.#silentMs() > this.#layer.settings.leaseMs / 2) throw this.#leaseLost()
  }

  /** Throws unless the record proves that nobody has decided against the upload. */
  checkAlive(history: History): void {
    const { uuid } = this.#set
    if (isAlive(history, uuid)) return
    this.#layer.runtime.probe.mark('objects.upload.refused')
    this.#layer.runtime.metrics.count('atoll_objects_uploads_refused_total')
    const message = `a collection took upload ${uuid} for dead, or may have: upload the object again`
    throw new AtollError('ATOLL_TIMEOUT', message, { definite: true })
  }

  /** Deletes what was written, as far as it can be; what is left has its `writing` manifest, for collection. */
  async abandon(): Promise<void> {
    const { blocks, manifests, settings, runtime } = this.#layer
    const { bucket, key, id } = this.#name
    runtime.probe.mark('objects.upload.abandoned')
    if (this.#digesting === undefined) this.#digest.discard()
    const written = await this.#announcing.then(
      () => this.#checksums.length,
      () => 0,
    )
    await this.#window.settle()
    try {
      await blocks.delete(this.#set, written, { concurrency: settings.writeConcurrency })
      const { uuid } = this.#set
      const change = (history: History) => forgetUpload(history, uuid)
      if (!this.#uncertain) await manifests.rewrite(id, { change, own: uuid, strict: true })
    } catch (error) {
      const fields = { bucket, key, uuid: this.#set.uuid, error: messageOf(error) }
      runtime.log.warn(fields, 'blocks of a failed upload are left to the next collection')
    }
  }

  /** Says how many blocks there may be and begins a new lease. */
  async #announce(blocks: number): Promise<void> {
    const { runtime, manifests, settings } = this.#layer
    this.#announced = blocks
    this.#renewedAtMs = runtime.clock.monotonicMs()
    this.#leaseEndsMs = Math.max(1, this.#leaseEndsMs, wallTimeOf(runtime.clock) + settings.leaseMs)
    const note = {
      uuid: this.#set.uuid,
      state: 'writing',
      blocks,
      sealed: false,
      leaseEndsMs: this.#leaseEndsMs,
      removedMs: 0,
      content: undefined,
    } as const
    if (this.#isAnnounced) await manifests.inTurn(this.#name.id, () => this.#renew(note))
    else this.#known = await manifests.announce(this.#name.id, note)
    this.#isAnnounced = true
  }

  /** A note that renewed itself without looking would be a proof of what may be decided otherwise. */
  async #renew(note: Manifest): Promise<void> {
    const { manifests } = this.#layer
    const { id } = this.#name
    for (let round = 0; round < REWRITE_ROUNDS; round++) {
      const { history: before, context } = this.#known ?? (await manifests.read(id))
      this.#known = undefined
      this.checkAlive(before)
      const history = withManifests(before, [note])
      const written = await manifests.write(id, { history, context }, { ifUnchanged: 'one' })
      if (written.alone) this.#known = { history, context: written.context }
      if (written.accepted > 0) return
      await manifests.pause(round)
    }
    throw crowded()
  }

  /** A body that keeps still does not hide that nothing of it can be stored. */
  #next(source: BodySource): Promise<Uint8Array | undefined> {
    const pulling = source.next()
    return this.#isAnnounced ? pulling : Promise.race([pulling, this.#announcing.then(() => pulling)])
  }

  async #addAll(blocks: Iterable<Uint8Array>): Promise<void> {
    for (const block of blocks) {
      throwIfAborted(this.#request.signal)
      await this.#keepLease()
      const loan = new Loan(block)
      await this.#add(block, () => loan.letGo('stored'))
      await this.#digest.update(block)
      loan.letGo('digested')
    }
  }

  async #add(value: Uint8Array, onReleased: () => void): Promise<void> {
    const { runtime } = this.#layer
    const sequence = this.#checksums.length
    const crc32 = sumForGood(value, runtime.digest.crc32)
    this.#checksums.push(crc32)
    this.#size += value.length
    const release = await this.#takeSlot()
    const write = async () => {
      try {
        if (!this.#isAnnounced) await this.#announcing
        await this.#write({ sequence, length: value.length, crc32 }, { value, onReleased })
      } finally {
        release()
      }
      this.#durableBytes += value.length
      this.#request.onProgress({ bytes: this.#durableBytes })
    }
    try {
      await abortable(this.#request.signal, this.#window.add(write))
    } catch (error) {
      release()
      throw error
    }
  }

  async #write(block: Block, { value, onReleased }: Pick<BlockWrite, 'value' | 'onReleased'>): Promise<void> {
    const { signal, quorum } = this.#request
    const { blocks, runtime, settings } = this.#layer
    throwIfAborted(signal)
    const onFailure = (error: unknown) => {
      this.#uncertain ||= mayHaveHappened(error)
    }
    const writeId = runtime.random.bytes(WRITE_ID_BYTES)
    // A try that has failed may still be under way at some replica: then the value is never returned.
    let isFirst = true
    const writing = () => {
      const write = { value, writeId, quorum, onReleased: isFirst ? onReleased : undefined }
      isFirst = false
      return blocks.write(this.#set, block, write)
    }
    const patience = { patienceMs: settings.blockPatienceMs, signal, onFailure }
    const { primaries } = await persistently(runtime, writing, patience)
    this.primaries = Math.min(this.primaries, primaries)
  }

  /** A slot that comes after the caller has given up goes to the next. */
  async #takeSlot(): Promise<Release> {
    const taking = this.#layer.writeSlots.take()
    try {
      return await abortable(this.#request.signal, taking)
    } catch (error) {
      void taking.then((release) => release())
      throw error
    }
  }

  #md5(): Promise<Uint8Array> {
    this.#digesting ??= this.#digest.digest()
    return this.#digesting
  }

  async #keepLease(): Promise<void> {
    const { leaseMs } = this.#layer.settings
    const isFull = this.#checksums.length === this.#announced
    const silentMs = this.#silentMs()
    if (!isFull && silentMs <= leaseMs / 4) return
    if (silentMs > leaseMs / 2) throw this.#leaseLost()
    // One after the other: what the first has answered is what the next goes by.
    await this.#announcing
    await this.#announce(isFull ? 4 * this.#announced : this.#announced)
  }

  #silentMs(): number {
    return this.#layer.runtime.clock.monotonicMs() - this.#renewedAtMs
  }

  #leaseLost(): AtollError {
    const message = `the upload was silent for longer than half of its lease of ${this.#layer.settings.leaseMs} ms`
    return new AtollError('ATOLL_TIMEOUT', message, { definite: true })
  }
}

/**
 * A block that was borrowed. It is returned when the store and the digest have both let go of it, and otherwise
 * collected.
 */
class Loan {
  readonly #block: Uint8Array
  readonly #holders = new Set(['stored', 'digested'])

  constructor(block: Uint8Array) {
    this.#block = block
  }

  letGo(done: 'stored' | 'digested'): void {
    if (this.#holders.delete(done) && this.#holders.size === 0) returnBuffer(this.#block)
  }
}

/** True if what failed with this may have happened all the same, or may yet happen. */
export function mayHaveHappened(error: unknown): boolean {
  return !isAtollError(error) || !error.definite
}

function bigEndian(numbers: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * numbers.length))
  for (const [at, number] of numbers.entries()) view.setUint32(4 * at, number)
  return new Uint8Array(view.buffer)
}
