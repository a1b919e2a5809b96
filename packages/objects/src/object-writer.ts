import { AtollError, behindWrite, describe, EMPTY_BYTES, toHex, wallTimeOf } from '@atoll/core'
import { abortable, throwIfAborted } from './abort.ts'
import { inOnePiece, invalid, type ObjectBody } from './body-chunks.ts'
import { BodySource, wholeOf } from './body-source.ts'
import { type BucketInfo, noBucket } from './buckets.ts'
import {
  activate,
  ascend,
  comparePlaces,
  type Upload as Finished,
  type History,
  isRemoved,
  latestMark,
  type Mark,
  retire,
  visibleOf,
} from './history.ts'
import type { Layer } from './layer.ts'
import { crowded, type HistoryRead, type Known, NOTHING_KNOWN, REWRITE_ROUNDS } from './manifest-records.ts'
import { inType, type ObjectName } from './object-name.ts'
import type { KvWritten } from './ports.ts'
import { readQuorumOf, type WriteQuorumOptions, writeQuorumOf } from './quorums.ts'
import type { DeleteOptions, PutRequest } from './requests.ts'
import { mayHaveHappened, Upload, type UploadedBody } from './upload.ts'
import { newUuid } from './uuid.ts'

export interface PutResult {
  readonly size: number
  /** MD5 of the body, 32 hexadecimal digits. */
  readonly etag: string
  readonly lastModifiedMs: number
  /**
   * How many primaries had each part of the object on disk when the call was answered: the fewest of any part. With n -
   * r + 1 (2 of 3 replicas), no reader takes the object for absent whatever happens; with 0, all of it lies with nodes
   * that stood in.
   */
  readonly primaries: number
}

/** A finished upload that is to become the latest version. */
interface Activation {
  readonly quorum: WriteQuorumOptions
  readonly name: ObjectName
  readonly finished: Finished
  /** Where the blocks came from; undefined if the body is inline. */
  readonly upload: Upload | undefined
}

interface Activated {
  readonly written: KvWritten
  readonly lastModifiedMs: number
  /** The place of the version that was written. */
  readonly mark: Mark
}

/** Puts and deletes objects. */
export class ObjectWriter {
  readonly #layer: Layer

  constructor(layer: Layer) {
    this.#layer = layer
  }

  /** A body that is at hand and small: it is one piece, and nothing of it has to be waited for. */
  async putWhole(name: ObjectName, body: ObjectBody, request: PutRequest): Promise<PutResult> {
    const { settings, buckets } = this.#layer
    const { length, signal } = request
    throwIfAborted(signal)
    const whole = wholeOf(body, { length, maxBytes: settings.maxObjectBytes })
    const bucket = buckets.require(name.bucket, { signal })
    return await this.#putInline(name, { body: whole, bucket }, request)
  }

  async put(name: ObjectName, body: ObjectBody, request: PutRequest): Promise<PutResult> {
    const { settings, buckets } = this.#layer
    const { length, signal } = request
    const source = new BodySource(body, { length, maxBytes: settings.maxObjectBytes, signal })
    const bucket = buckets.require(name.bucket, { signal })
    bucket.catch(() => {})
    try {
      const gathering = gather(source, settings.inlineBytes)
      const head = await Promise.race([gathering, bucket.then(() => gathering)])
      if (source.ended) return await this.#putInline(name, { body: inOnePiece(head), bucket }, request)
      const { type } = await bucket
      return await this.#putBlocks(inType(name, type), { head, source }, request)
    } finally {
      await source.close()
    }
  }

  /** Whether there was something to delete. */
  async delete(name: ObjectName, options: DeleteOptions): Promise<boolean> {
    const { signal } = options
    const [reading, quorum] = [readQuorumOf(options), writeQuorumOf(options)]
    const { manifests, buckets } = this.#layer
    const read = await abortable(signal, manifests.readVisible(name.id, { ...reading, signal }))
    const visible = visibleOf(read.history) !== undefined
    if (!visible) {
      const { type } = await buckets.require(name.bucket, options)
      if (type !== name.type.name) return await this.delete(inType(name, type), options)
    }
    throwIfAborted(signal)
    // What is written after this read is not meant by this call.
    const mark = latestMark(read.history, this.#nowMs())
    if (visible || read.listedInVain) {
      const change = (history: History) => retire(history, mark)
      await manifests.rewrite(name.id, { change, known: read, quorum, reading })
    }
    return visible
  }

  /** Mostly there is no record yet: so it is not read before there is reason to. */
  async #putInline(
    name: ObjectName,
    { body, bucket }: { readonly body: Uint8Array; readonly bucket: Promise<BucketInfo> },
    request: PutRequest,
  ): Promise<PutResult> {
    const { runtime } = this.#layer
    const [md5, { type }] = await abortable(request.signal, Promise.all([this.#md5(body), bucket]))
    const uploaded = { uuid: newUuid(runtime), size: body.length, md5, checksums: EMPTY_BYTES, blocks: 0 }
    const finished = this.#finish(uploaded, body, request)
    const result = await this.#activate(
      { name: inType(name, type), finished, upload: undefined, quorum: request.quorum },
      request,
    )
    request.onProgress({ bytes: body.length })
    return result
  }

  async #putBlocks(
    name: ObjectName,
    { head, source }: { readonly head: readonly Uint8Array[]; readonly source: BodySource },
    request: PutRequest,
  ): Promise<PutResult> {
    const { buckets } = this.#layer
    const { signal } = request
    const upload = new Upload(this.#layer, name, request)
    try {
      await upload.write(head, source)
      const bucket = buckets.require(name.bucket, { signal })
      const [uploaded, { type }] = await abortable(signal, Promise.all([upload.finish(), bucket]))
      if (type !== name.type.name) throw noBucket(name.bucket)
      const finished = this.#finish(uploaded, EMPTY_BYTES, request)
      upload.checkLease()
      return await this.#activate({ name, finished, upload, quorum: request.quorum }, request)
    } catch (error) {
      // An upload that may have become visible keeps its blocks.
      if (!upload.mayBeVisible || !mayHaveHappened(error)) await upload.abandon()
      throw error
    }
  }

  #finish(uploaded: UploadedBody, inline: Uint8Array, request: PutRequest): Finished {
    const { uuid, blocks, size, md5, checksums } = uploaded
    const { contentType, metadata, contentMd5 } = request
    if (contentMd5 !== undefined && contentMd5 !== toHex(md5))
      throw invalid(`the body has the MD5 ${toHex(md5)}, ${describe(contentMd5)} was announced`)
    const { blockBytes } = this.#layer.settings
    return { uuid, blocks, content: { size, md5, contentType, metadata, blockBytes, inline, checksums } }
  }

  /**
   * Makes the upload the latest version. Once something is written the call cannot be aborted: its outcome is told as
   * it is. What is known is written upon, if there is nothing else: the number of the version, which may be too small,
   * does not matter then. If there is something else after all, the record is read, and the version is written again on
   * top of it, unless a later writer has done so already. An upload in blocks writes on condition that its proof still
   * stands.
   */
  async #activate(activation: Activation, { signal }: PutRequest): Promise<PutResult> {
    throwIfAborted(signal)
    const { name, upload, quorum } = activation
    const { manifests } = this.#layer
    const known = upload === undefined ? NOTHING_KNOWN : upload.known
    if (known !== undefined) {
      const condition = upload === undefined ? { ifAlone: true } : ({ ifUnchanged: 'one' } as const)
      const first = await this.#write(activation, known, (each) =>
        manifests.write(name.id, each, condition, quorum),
      )
      if (first.written.alone) return this.#activated(activation, first)
      if (first.written.accepted > 0) return await behindWrite(() => this.#confirm(activation, first))
    }
    if (upload === undefined) return this.#upon(activation, signal)
    return manifests.inTurn(name.id, () => this.#upon(activation, signal))
  }

  /** Reads and writes until nothing has come in between. */
  async #upon(activation: Activation, signal: AbortSignal | undefined): Promise<PutResult> {
    const { name, upload } = activation
    const { manifests } = this.#layer
    for (let round = 0; round < REWRITE_ROUNDS; round++) {
      const read = await abortable(signal, manifests.read(name.id, { signal }))
      upload?.checkAlive(read.history)
      throwIfAborted(signal)
      const activated = await this.#writeUpon(activation, read, { round })
      if (upload !== undefined && activated.written.accepted > 0 && !activated.written.alone)
        return await behindWrite(() => this.#confirm(activation, activated))
      if (activated.written.accepted > 0) return this.#activated(activation, activated)
      await manifests.pause(round)
    }
    throw crowded()
  }

  /**
   * The version is written; whether it also is the latest is seen now. If it is not it is written again on top of what
   * is there, and then until it is known what became of it. One with blocks that is there is not made a version once
   * more: two that were written at the same time, and again on top of each other, would each retire the other.
   */
  async #confirm(activation: Activation, first: Activated): Promise<PutResult> {
    const { manifests, runtime } = this.#layer
    let last = first
    for (let round = 0; round <= REWRITE_ROUNDS; round++) {
      const read = await manifests.read(activation.name.id)
      const isEnough = last === first ? isSettled(read, last.mark) : isKnown(read, last.mark)
      if (isEnough) return this.#activated(activation, last)
      runtime.probe.mark('objects.put.activated-again')
      const stays = activation.upload !== undefined && isThere(read, last.mark)
      const again = await this.#writeUpon(activation, read, { round, stays })
      if (again.written.accepted > 0) last = again
      else await manifests.pause(round)
    }
    throw last === first ? crowded() : nowhere(activation.name)
  }

  #writeUpon(
    activation: Activation,
    read: HistoryRead,
    { round, stays = false }: { readonly round: number; readonly stays?: boolean },
  ): Promise<Activated> {
    const { name, finished, upload, quorum } = activation
    const over = { own: finished.uuid, strict: upload !== undefined, round, quorum }
    const write = (known: Known) => this.#layer.manifests.over(name.id, known, over)
    return this.#write(activation, read, write, stays ? ascendAs : activate)
  }

  async #write(
    { name, finished, upload }: Activation,
    { history: before, context }: Known,
    write: (known: Known) => Promise<KvWritten>,
    change: typeof activate = activate,
  ): Promise<Activated> {
    const lastModifiedMs = this.#nowMs()
    const history = change(before, finished, lastModifiedMs)
    this.#checkRoom(name, history)
    const wasVisible = upload?.mayBeVisible ?? false
    if (upload !== undefined) upload.mayBeVisible = true
    const written = await write({ history, context })
    if (upload !== undefined && written.accepted === 0) upload.mayBeVisible = wasVisible
    return { written, lastModifiedMs, mark: latestMark(history, lastModifiedMs) }
  }

  #activated({ finished, upload }: Activation, { written, lastModifiedMs }: Activated): PutResult {
    const { size, md5 } = finished.content
    this.#layer.runtime.metrics.count('atoll_objects_put_bytes_total', size)
    const primaries = Math.min(written.primaries, upload?.primaries ?? written.primaries)
    return { size, etag: toHex(md5), lastModifiedMs, primaries }
  }

  #checkRoom({ bucket, key }: ObjectName, { manifests }: History): void {
    const { maxVersions } = this.#layer.settings
    if (manifests.size <= maxVersions) return
    const message = `object ${describe(key)} of bucket "${bucket}" has ${maxVersions} versions that wait for collection`
    throw new AtollError('ATOLL_OVERLOADED', message)
  }

  async #md5(body: Uint8Array): Promise<Uint8Array> {
    const digest = this.#layer.runtime.digest.stream('md5')
    await digest.update(body)
    return digest.digest()
  }

  #nowMs(): number {
    return wallTimeOf(this.#layer.runtime.clock)
  }
}

/**
 * Whether a version that was written needs nothing more: it is all that is seen and there is nothing beside it, or
 * overtaken.
 */
function isSettled(read: HistoryRead, mark: Mark): boolean {
  if (!isThere(read, mark)) return isOvertaken(read, mark)
  return read.siblings.length === 1 && visibleOf(read.history)?.uuid === mark.uuid
}

const ascendAs: typeof activate = (history, { uuid }, nowMs) => ascend(history, uuid, nowMs)

function nowhere({ bucket, key }: ObjectName): AtollError {
  const message = `object ${describe(key)} of bucket "${bucket}" was written again and again, and nobody has it`
  return new AtollError('ATOLL_QUORUM_UNMET', message, { definite: false })
}

function isKnown(read: HistoryRead, mark: Mark): boolean {
  return isThere(read, mark) || isOvertaken(read, mark)
}

function isThere({ siblings }: HistoryRead, { uuid }: Mark): boolean {
  return siblings.some(({ manifests }) => manifests.get(uuid)?.state === 'active')
}

/**
 * Whether a later writer has gone on from the version, or from one that hides it. That it is nowhere to be seen is no
 * proof of that: a replica may have taken it for something that it knew. Inline versions leave no name behind when they
 * are retired, so that one which was lost, and would have been hidden all the same by a clock that is ahead, passes for
 * overtaken.
 */
function isOvertaken({ history }: HistoryRead, mark: Mark): boolean {
  const left = history.manifests.get(mark.uuid)
  return comparePlaces(mark, history.retired) <= 0 || (left !== undefined && isRemoved(left))
}

/** Reads until the body has ended or is too long to be inline. */
async function gather(source: BodySource, inlineBytes: number): Promise<readonly Uint8Array[]> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  while (bytes <= inlineBytes) {
    const chunk = await source.next()
    if (chunk === undefined) break
    chunks.push(chunk)
    bytes += chunk.length
  }
  return chunks
}
