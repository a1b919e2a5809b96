import { describe, EMPTY_BYTES, isAtollError, isPromise, messageOf, toHex, wallTimeOf } from '@atoll/core'
import { abortable, throwIfAborted } from './abort.ts'
import { Activations, type PutResult } from './activations.ts'
import { inOnePiece, invalid, type ObjectBody } from './body-chunks.ts'
import { type BodySource, wholeOf } from './body-source.ts'
import { type Bucket, isSamePlace, noBucket } from './bucket-knowledge.ts'
import { type Upload as Finished, type History, latestMark, retire, visibleOf } from './history.ts'
import type { Layer } from './layer.ts'
import { type ObjectName, type PlacedObject, placedIn } from './object-name.ts'
import { readQuorumOf, writeQuorumOf } from './quorums.ts'
import type { DeleteOptions, PutRequest } from './requests.ts'
import { mayHaveHappened, Upload, type UploadedBody } from './upload.ts'
import { newUuid } from './uuid.ts'

/** Puts and deletes objects. */
export class ObjectWriter {
  readonly #layer: Layer
  readonly #activations: Activations

  constructor(layer: Layer) {
    this.#layer = layer
    this.#activations = new Activations(layer)
  }

  /** A body that is at hand and small: it is one piece, and nothing of it has to be waited for. */
  putWhole(name: ObjectName, body: ObjectBody, request: PutRequest): Promise<PutResult> {
    const { settings, buckets } = this.#layer
    const { length, signal } = request
    throwIfAborted(signal)
    const whole = wholeOf(body, { length, maxBytes: settings.maxObjectBytes })
    const bucket = buckets.writable(name.bucket, signal)
    return this.#putInline(name, { body: whole, bucket }, request)
  }

  /** Closes the source while the put still counts as under way. */
  async put(name: ObjectName, source: BodySource, request: PutRequest): Promise<PutResult> {
    const { settings, buckets } = this.#layer
    const { length, signal } = request
    source.limitTo({ length, maxBytes: settings.maxObjectBytes, signal })
    const bucket = Promise.resolve(buckets.writable(name.bucket, signal))
    bucket.catch(() => {})
    try {
      const gathering = gather(source, settings.inlineBytes)
      const head = await Promise.race([gathering, bucket.then(() => gathering)])
      if (source.ended) return await this.#putInline(name, { body: inOnePiece(head), bucket }, request)
      return await this.#putBlocks(name, { head, source, bucket: await bucket }, request)
    } finally {
      await source.close()
    }
  }

  /** Whether there was something to delete. */
  async delete(name: ObjectName, options: DeleteOptions): Promise<boolean> {
    const { buckets, runtime } = this.#layer
    const sinceMs = runtime.clock.monotonicMs()
    const bucket = await buckets.lookUp(name.bucket, options)
    const isDeleted = await this.#deleteIn(placedIn(name, bucket), options)
    if (isDeleted || buckets.isSure(bucket, sinceMs)) return isDeleted
    const now = await buckets.require(name.bucket, options)
    return isSamePlace(now, bucket) ? false : await this.#deleteIn(placedIn(name, now), options)
  }

  async #deleteIn({ id }: PlacedObject, options: DeleteOptions): Promise<boolean> {
    const { signal } = options
    const [reading, quorum] = [readQuorumOf(options), writeQuorumOf(options)]
    const { manifests } = this.#layer
    const read = await abortable(signal, manifests.readVisible(id, { ...reading, signal }))
    const visible = visibleOf(read.history) !== undefined
    throwIfAborted(signal)
    // What is written after this read is not meant by this call.
    const mark = latestMark(read.history, this.#nowMs())
    if (visible || read.listedInVain) {
      const change = (history: History) => retire(history, mark)
      await manifests.rewrite(id, { change, known: read, quorum, reading, isInLine: true })
    }
    return visible
  }

  /** Mostly there is no record yet: so it is not read before there is reason to. */
  async #putInline(
    name: ObjectName,
    { body, bucket: opening }: { readonly body: Uint8Array; readonly bucket: Bucket | Promise<Bucket> },
    request: PutRequest,
  ): Promise<PutResult> {
    const { runtime } = this.#layer
    const bucket = opening instanceof Promise ? await abortable(request.signal, opening) : opening
    const finish = async () => {
      const digest = runtime.digest.stream('md5')
      const fed = digest.update(body)
      if (isPromise(fed)) await fed
      const md5 = await digest.digest()
      const uploaded = { uuid: newUuid(runtime), size: body.length, md5, checksums: EMPTY_BYTES, blocks: 0 }
      return this.#finish(uploaded, body, request)
    }
    const placed = placedIn(name, bucket)
    const result = await this.#activations.activate(placed, { finish, upload: undefined }, request)
    if (!this.#layer.buckets.isHeld(bucket)) await this.#confirm(placed, bucket, request)
    request.onProgress({ bytes: body.length })
    return result
  }

  async #putBlocks(
    name: ObjectName,
    body: { readonly head: readonly Uint8Array[]; readonly source: BodySource; readonly bucket: Bucket },
    request: PutRequest,
  ): Promise<PutResult> {
    const placed = placedIn(name, body.bucket)
    const { result, bucket } = await this.#upload(placed, body, request)
    if (!this.#layer.buckets.isHeld(bucket)) await this.#confirm(placed, bucket, request)
    return result
  }

  /** Answers the bucket as it was known when all blocks were there. */
  async #upload(
    name: PlacedObject,
    {
      head,
      source,
      bucket: before,
    }: { readonly head: readonly Uint8Array[]; readonly source: BodySource; readonly bucket: Bucket },
    request: PutRequest,
  ): Promise<{ readonly result: PutResult; readonly bucket: Bucket }> {
    const { buckets } = this.#layer
    const { signal } = request
    const upload = new Upload(this.#layer, name, request)
    try {
      await upload.write(head, source)
      const opening = buckets.writable(name.bucket, signal)
      const [uploaded, bucket] = await abortable(signal, Promise.all([upload.finish(), opening]))
      if (!isSamePlace(bucket, before)) throw noBucket(name.bucket)
      const finished = this.#finish(uploaded, EMPTY_BYTES, request)
      upload.checkLease()
      const candidate = { finish: async () => finished, upload }
      return { result: await this.#activations.activate(name, candidate, request), bucket }
    } catch (error) {
      // An upload that may have become visible keeps its blocks.
      if (!upload.mayBeVisible || !mayHaveHappened(error)) await upload.abandon()
      throw error
    }
  }

  /** What is stored is acknowledged only if the bucket is there: else nobody will see it, and it is taken out of use. */
  async #confirm(name: PlacedObject, bucket: Bucket, { signal }: PutRequest): Promise<void> {
    const { buckets, manifests, runtime } = this.#layer
    try {
      await buckets.confirm(bucket, signal)
    } catch (error) {
      if (!isAtollError(error, 'ATOLL_BUCKET_NOT_FOUND')) throw error
      const change = (history: History) => retire(history, latestMark(history, this.#nowMs()))
      const clearing = manifests.rewrite(name.id, { change, strict: true })
      await clearing.catch((failure: unknown) => {
        const fields = { bucket: name.bucket, key: name.key, error: messageOf(failure) }
        runtime.log.warn(fields, 'what was put into a bucket that is deleted stays where nobody sees it')
      })
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

  #nowMs(): number {
    return wallTimeOf(this.#layer.runtime.clock)
  }
}

/**
 * Reads until the body has ended or is too long to be inline. Of what passes a copy is made before more is asked for: the
 * chunks of another object may be lent, and a source may use one array for all that it yields.
 */
async function gather(source: BodySource, inlineBytes: number): Promise<readonly Uint8Array[]> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  while (bytes <= inlineBytes) {
    const chunk = await source.next()
    if (chunk === undefined) break
    bytes += chunk.length
    chunks.push(source.staying || bytes > inlineBytes ? chunk : new Uint8Array(chunk))
  }
  return chunks
}
