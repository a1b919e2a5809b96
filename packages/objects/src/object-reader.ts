import { AtollError, describe, type KeyId, toHex } from '@atoll/core'
import { abortable } from './abort.ts'
import { type BlockSet, blockId } from './blocks.ts'
import { type Bucket, isSamePlace } from './bucket-knowledge.ts'
import { type ResolvedRange, resolveRange } from './byte-range.ts'
import { settle, type Version, visibleOf } from './history.ts'
import type { Layer } from './layer.ts'
import { BodyReader } from './object-body.ts'
import { type ObjectName, type PlacedObject, placedIn } from './object-name.ts'
import { readQuorumOf, saysNothing } from './quorums.ts'
import { checkCallback, type GetOptions, type ReadOptions } from './requests.ts'

export interface ObjectInfo {
  readonly key: string
  readonly size: number
  /** MD5 of the body, 32 hexadecimal digits. */
  readonly etag: string
  readonly contentType: string
  readonly metadata: Readonly<Record<string, string>>
  /** Wall time at which the version became visible, on the clock of the node that wrote it. */
  readonly lastModifiedMs: number
}

export interface StoredObject extends ObjectInfo {
  /** Which bytes of the object `body` has: `start` to before `end`. */
  readonly range: ResolvedRange
  /**
   * Can be read once. Fails in the middle rather than answer a wrong or missing byte. A chunk belongs to its reader,
   * unless `chunks` says else.
   */
  readonly body: AsyncIterable<Uint8Array>
}

interface VisibleOptions extends ReadOptions {
  readonly repair?: boolean | undefined
}

/** A version, and where it is. */
interface Found {
  readonly id: KeyId
  readonly set: BlockSet
  readonly version: Version
}

/** Objects that are healed at the same time by one reader; those beyond are left to the next read. */
const MAX_HEALING = 256

/** Reads objects. */
export class ObjectReader {
  readonly #layer: Layer
  /** Names of the objects that are being healed. */
  readonly #healing = new Set<string>()

  constructor(layer: Layer) {
    this.#layer = layer
  }

  async get(name: ObjectName, options: GetOptions): Promise<StoredObject> {
    const { settings, runtime } = this.#layer
    const { signal, repair = false, chunks = 'own' } = options
    const { version, set } = await this.#visible(name, options)
    const range = resolveRange(options.range, version.content.size)
    const onProgress = checkCallback(options.onProgress, runtime)
    const { readAhead } = settings
    const quorum = readQuorumOf(options)
    const body = new BodyReader(this.#layer, {
      owner: name,
      set,
      version,
      range,
      readAhead,
      repair,
      chunks,
      quorum,
      signal,
      onProgress,
    })
    const { key, size, etag, contentType, metadata, lastModifiedMs } = infoOf(name, version)
    return { key, size, etag, contentType, metadata, lastModifiedMs, range, body }
  }

  async head(name: ObjectName, options: ReadOptions): Promise<ObjectInfo> {
    return infoOf(name, (await this.#visible(name, options)).version)
  }

  /** The key-value records that the visible version is made of: its manifest record, then its blocks. */
  async records(name: ObjectName, options: ReadOptions): Promise<readonly KeyId[]> {
    const { id, set, version } = await this.#visible(name, options)
    return [id, ...Array.from({ length: version.blocks }, (_, sequence) => blockId(set, sequence))]
  }

  /** Only what is not there makes sure of the bucket. */
  async #visible(object: ObjectName, asked: VisibleOptions): Promise<Found> {
    const { buckets, runtime } = this.#layer
    const sinceMs = runtime.clock.monotonicMs()
    const known = buckets.lookUp(object.bucket, asked)
    let bucket: Bucket | undefined = known instanceof Promise ? await known : known
    while (bucket !== undefined) {
      const found = await this.#visibleIn(placedIn(object, bucket), asked)
      if (found !== undefined) return found
      bucket = buckets.isSure(bucket, sinceMs) ? undefined : await this.#elsewhere(object, bucket, asked)
    }
    const message = `bucket "${object.bucket}" has no object ${describe(object.key)}`
    throw new AtollError('ATOLL_OBJECT_NOT_FOUND', message)
  }

  /** The bucket as it is now, unless it is where it was. */
  async #elsewhere(
    { bucket }: ObjectName,
    before: Bucket,
    asked: VisibleOptions,
  ): Promise<Bucket | undefined> {
    const now = await this.#layer.buckets.require(bucket, asked)
    return isSamePlace(now, before) ? undefined : now
  }

  async #visibleIn(name: PlacedObject, asked: VisibleOptions): Promise<Found | undefined> {
    const { manifests } = this.#layer
    const { signal, repair } = asked
    const quorum = readQuorumOf(asked)
    // Nearly always nothing is said: an object that is spread costs more than the rest of the asking.
    const isPlain = repair !== true && saysNothing(quorum)
    const options = isPlain ? { signal } : { ...quorum, ...(repair ? { signal, repair } : { signal }) }
    const { history, listedInVain } = await abortable(signal, manifests.readVisible(name.id, options))
    if (listedInVain || settle(history, 0) !== history) await abortable(signal, this.heal(name))
    const version = visibleOf(history)
    if (version === undefined) return undefined
    const set = { type: name.type.blocks, bucket: name.id.bucket, uuid: version.uuid }
    return { id: name.id, set, version }
  }

  /**
   * Joins what was written at the same time, so that what lost is collected and not listed. A read lives without it: of many
   * at once the first does it, and the others do not wait, nor does a read wait for who writes the object.
   */
  async heal(name: PlacedObject): Promise<void> {
    const { manifests, runtime } = this.#layer
    // A clock before 1970 keeps nothing from being read.
    const nowMs = Math.max(0, Math.floor(runtime.clock.wallMs()))
    const text = `${name.bucket}/${name.key}`
    if (this.#healing.has(text) || this.#healing.size >= MAX_HEALING || manifests.isBusy(name.id)) return
    this.#healing.add(text)
    runtime.probe.mark('objects.history.healed')
    try {
      await manifests.rewrite(name.id, { change: (history) => settle(history, nowMs), strict: true })
    } catch (error) {
      runtime.log.debug(
        { bucket: name.bucket, key: name.key, err: error },
        'siblings are left to the next read',
      )
    } finally {
      this.#healing.delete(text)
    }
  }
}

function infoOf({ key }: ObjectName, { content }: Version): ObjectInfo {
  const { size, md5, contentType, metadata, modifiedMs } = content
  return {
    key,
    size,
    etag: toHex(md5),
    contentType,
    metadata: Object.fromEntries(metadata),
    lastModifiedMs: modifiedMs,
  }
}
