import { AtollError, concatBytes, describe, EMPTY_BYTES, toHex } from '@atoll/core'
import { abortable, throwIfAborted } from './abort.ts'
import { BodySource, invalid, type ObjectBody } from './body-source.ts'
import { activate, type Upload as Finished, type History, latestMark, retire, visibleOf } from './history.ts'
import type { Layer } from './layer.ts'
import type { HistoryRead } from './manifest-records.ts'
import type { ObjectName } from './object-name.ts'
import type { CallOptions, PutRequest } from './requests.ts'
import { mayHaveHappened, Upload, type UploadedBody } from './upload.ts'
import { newUuid } from './uuid.ts'

export interface PutResult {
  readonly size: number
  /** MD5 of the body, 32 hexadecimal digits. */
  readonly etag: string
  readonly lastModifiedMs: number
}

/** Puts and deletes objects. */
export class ObjectWriter {
  readonly #layer: Layer

  constructor(layer: Layer) {
    this.#layer = layer
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
      if (source.ended) return await this.#putInline(name, { body: joined(head), bucket }, request)
      await bucket
      return await this.#putBlocks(name, { head, source }, request)
    } finally {
      await source.close()
    }
  }

  /** Whether there was something to delete. */
  async delete(name: ObjectName, { signal }: CallOptions): Promise<boolean> {
    const { manifests, buckets } = this.#layer
    const read = await abortable(signal, manifests.read(name.id, { signal }))
    const visible = visibleOf(read.history) !== undefined
    if (!visible) await buckets.require(name.bucket, { signal })
    throwIfAborted(signal)
    // What is written after this read is not meant by this call.
    const mark = latestMark(read.history, this.#nowMs())
    if (visible || read.listedInVain)
      await manifests.rewrite(name.id, (history) => retire(history, mark), read)
    return visible
  }

  /** One read of the record, in parallel with the bucket's and the digest, and one write. */
  async #putInline(
    name: ObjectName,
    { body, bucket }: { readonly body: Uint8Array; readonly bucket: Promise<unknown> },
    request: PutRequest,
  ): Promise<PutResult> {
    const { manifests, runtime } = this.#layer
    const { signal } = request
    const reading = manifests.read(name.id, { signal })
    const [read, md5] = await abortable(signal, Promise.all([reading, this.#md5(body), bucket]))
    const uploaded = { uuid: newUuid(runtime), size: body.length, md5, checksums: EMPTY_BYTES, blocks: 0 }
    const result = await this.#activate(
      name,
      { read, finished: this.#finish(uploaded, body, request) },
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
    const { manifests, buckets } = this.#layer
    const { signal } = request
    const upload = new Upload(this.#layer, name, request)
    let committing = false
    try {
      await upload.write(head, source)
      const reading = [manifests.read(name.id, { signal }), buckets.require(name.bucket, { signal })] as const
      const [uploaded, read] = await abortable(signal, Promise.all([upload.finish(), ...reading]))
      const finished = this.#finish(uploaded, EMPTY_BYTES, request)
      upload.checkLease(read.history)
      throwIfAborted(signal)
      committing = true
      return await this.#activate(name, { read, finished }, request)
    } catch (error) {
      // An upload that may have become visible keeps its blocks.
      if (!committing || !mayHaveHappened(error)) await upload.abandon()
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

  /** Makes the upload the latest version. From here on the call cannot be aborted: its outcome is told as it is. */
  async #activate(
    name: ObjectName,
    { read, finished }: { readonly read: HistoryRead; readonly finished: Finished },
    { signal }: PutRequest,
  ): Promise<PutResult> {
    throwIfAborted(signal)
    const { manifests, runtime } = this.#layer
    const lastModifiedMs = this.#nowMs()
    const history = activate(read.history, finished, lastModifiedMs)
    this.#checkRoom(name, history)
    await manifests.write(name.id, history, read.context)
    const { size, md5 } = finished.content
    runtime.metrics.count('objects_put_bytes_total', size)
    return { size, etag: toHex(md5), lastModifiedMs }
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
    return Math.floor(this.#layer.runtime.clock.wallMs())
  }
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

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const [first, ...others] = chunks
  return first !== undefined && others.length === 0 ? first : concatBytes(chunks)
}
