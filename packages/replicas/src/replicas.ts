import { decodeRecord, type StoredRecord } from '@atoll/causality'
import { behindWrite, equalBytes, type KeyId } from '@atoll/core'
import { BatchCalls, callOrStream, isCapable, type RpcEndpoint } from '@atoll/transport'
import type {
  CoordinateReply,
  CoordinateRequest,
  GetReply,
  GetRequest,
  PutReply,
  ScanReply,
  ScanRequest,
  VnodeRole,
} from '@atoll/vnode'
import {
  BATCHES,
  checkPlaceKnown,
  checkValues,
  DECISIONS,
  DIGEST_READS,
  HINTS,
  QUIET_PUTS,
  refusalOfPlace,
  WRITE_IDS,
} from '@atoll/vnode'
import { notesNone, scanFor } from './capabilities.ts'
import { isLargeRecord, isSmallRecord } from './large-records.ts'
import { batchOfCalls, coordinateMethod, getMethod, hintMethod, putMethod, scanMethod } from './methods.ts'
import type { Patience } from './mirrored-vnodes.ts'
import type { Routed, Routing } from './protocol.ts'
import { VnodeRouter } from './router.ts'
import type { RouterParts } from './ways.ts'

/** The vnode `partition` on `node`. */
export interface VnodeTarget {
  readonly node: string
  readonly partition: number
  /** Default primary. */
  readonly role?: VnodeRole
  /** Epoch of the document that named it; default 0, for unknown: then it is asked there, wherever it may be now. */
  readonly epoch?: number
}

export interface VnodeCallOptions extends Patience {
  /** For another node only: one's own answers or fails. */
  readonly timeoutMs: number
}

export interface VnodeGetOptions extends VnodeCallOptions {
  /** Whether the digest of the record will do; default false. A node of an earlier build answers with the record. */
  readonly digestOnly?: boolean | undefined
}

export interface VnodePutOptions extends VnodeCallOptions {
  /** Called when the record is in memory. */
  readonly onAccepted?: (() => void) | undefined
  /** Whether to say if the vnode holds nothing else; default false. */
  readonly tellAlone?: boolean | undefined
  /** Whether it is a client's own write of a write-once type, to be written without a look; default false. */
  readonly isFresh?: boolean | undefined
  /**
   * Whether to say which dots of the record stand for other writes there; default false. A node of an earlier build
   * cannot.
   */
  readonly tellTwice?: boolean | undefined
  /** Holders that miss the write, to be noted with it; default none. A node of an earlier build cannot. */
  readonly hintFor?: readonly string[] | undefined
}

export interface VnodeCoordinateOptions extends VnodeCallOptions {
  /** Called with the record before it is durable, by a vnode of this node: see `VnodeHost.coordinate`. */
  readonly onDecided?: ((record: StoredRecord) => void) | undefined
}

export interface VnodeReplicasParts extends RouterParts {
  /** The name of this node. */
  readonly node: string
}

/**
 * Vnodes near and far: this node's own are called directly, those of others over rpc. Either way a vnode that has moved
 * is asked where it is now.
 */
export class VnodeReplicas {
  readonly #parts: VnodeReplicasParts
  readonly #router: VnodeRouter
  /** Where small requests are asked that may travel with others. */
  readonly #together: Pick<RpcEndpoint, 'call' | 'openStream'>

  constructor(parts: VnodeReplicasParts) {
    const { endpoint } = parts
    const batches = new BatchCalls({ endpoint, method: batchOfCalls, capability: BATCHES })
    this.#parts = parts
    this.#together = {
      call: (...asked) => batches.call(...asked),
      openStream: (...asked) => endpoint.openStream(...asked),
    }
    this.#router = new VnodeRouter(parts)
  }

  get(target: VnodeTarget, id: KeyId, options: VnodeGetOptions): Promise<GetReply> {
    const { endpoint } = this.#parts
    const { node, partition } = target
    const isOwn = this.#isOwn(node)
    const digestOnly = options.digestOnly && (isOwn || isCapable(endpoint, node, DIGEST_READS))
    const request = { partition, id, digestOnly, routing: routingOf(target) }
    return isOwn ? this.#router.get(request, () => options) : this.#getAt(node, request, options)
  }

  async #getAt(node: string, request: Routed<GetRequest>, options: VnodeGetOptions): Promise<GetReply> {
    const { host, endpoint } = this.#parts
    checkPlaceKnown(node, endpoint.capabilitiesOf(node), request.id)
    const call = { node, method: getMethod, request, isLarge: false }
    const means = this.#meansFor(request.digestOnly === true && options.signal === undefined)
    const reply = await callOrStream(means, call, options)
    if (reply.record !== undefined) checkValues(reply.record, host.crc32)
    return reply
  }

  put(target: VnodeTarget, id: KeyId, record: StoredRecord, options: VnodePutOptions): Promise<PutReply> {
    const { endpoint } = this.#parts
    const { onAccepted, tellAlone, isFresh, timeoutMs, signal } = options
    const { node, partition } = target
    const isOwn = this.#isOwn(node)
    const tellTwice = options.tellTwice && (isOwn || isCapable(endpoint, node, WRITE_IDS))
    const isHinted = options.hintFor !== undefined && (isOwn || isCapable(endpoint, node, HINTS))
    const hintFor = isHinted ? options.hintFor : undefined
    const routing = routingOf(target)
    const quiet = onAccepted === undefined && !isOwn && isCapable(endpoint, node, QUIET_PUTS)
    const request = { partition, id, record, tellAlone, isFresh, tellTwice, hintFor, quiet, routing }
    if (isOwn) return this.#router.put(request, () => options, onAccepted)
    const refusal = refusalOfPlace(node, endpoint.capabilitiesOf(node), id)
    if (refusal !== undefined) return Promise.reject(refusal)
    const asked = { node, method: putMethod, request, isLarge: isLargeRecord(record) }
    const call = { timeoutMs, signal, onProgress: onAccepted }
    const mayBatch = quiet && signal === undefined && isSmallRecord(record)
    const reply = callOrStream(this.#meansFor(mayBatch), asked, call)
    // Whoever has answered has received all of it, and is not sent it once more. What is not fresh nobody takes back.
    return isFresh === true ? reply.then((stored) => ({ ...stored, released: true })) : reply
  }

  /** By which way another node is asked; `mayBatch` if it may be together with others. */
  #meansFor(mayBatch: boolean) {
    const { endpoint, host } = this.#parts
    return { endpoint: mayBatch ? this.#together : endpoint, clock: host.runtime.clock }
  }

  coordinate(
    target: VnodeTarget,
    id: KeyId,
    write: Omit<CoordinateRequest, 'partition' | 'id'>,
    options: VnodeCoordinateOptions,
  ): Promise<CoordinateReply> {
    const { endpoint } = this.#parts
    const { node, partition } = target
    const isOwn = this.#isOwn(node)
    const { content, valueCrc32, context, writeId, ifAlone } = write
    const hintFor = isOwn || isCapable(endpoint, node, HINTS) ? write.hintFor : undefined
    const { onDecided } = options
    const tellDecided = onDecided !== undefined && !isOwn && isCapable(endpoint, node, DECISIONS)
    const routing = routingOf(target)
    const written = { content, valueCrc32, context, writeId, ifAlone, hintFor, tellDecided }
    const request = { partition, id, ...written, routing }
    return isOwn
      ? this.#router.coordinate(request, () => options, onDecided)
      : this.#coordinateAt(node, request, options)
  }

  async #coordinateAt(
    node: string,
    request: Routed<CoordinateRequest>,
    { onDecided, timeoutMs, signal }: VnodeCoordinateOptions,
  ): Promise<CoordinateReply> {
    const { host, endpoint } = this.#parts
    checkPlaceKnown(node, endpoint.capabilitiesOf(node), request.id)
    const call = { node, method: coordinateMethod, request, isLarge: false }
    const onProgress = (head: Uint8Array) => {
      const record = writtenAlone(head, request)
      if (record !== undefined) onDecided?.(record)
    }
    const heard = request.tellDecided ? { timeoutMs, signal, onProgress } : { timeoutMs, signal }
    const reply = await callOrStream({ endpoint, clock: host.runtime.clock }, call, heard)
    await behindWrite(() => checkValues(reply.record, host.crc32))
    return reply
  }

  /**
   * Notes there that holders miss the record of a key. Throws `ATOLL_PROTOCOL` for a node of an earlier build, which
   * cannot.
   */
  async hint(
    target: VnodeTarget,
    id: KeyId,
    hintFor: readonly string[],
    options: VnodeCallOptions,
  ): Promise<void> {
    const { node, partition } = target
    const { endpoint } = this.#parts
    const request = { partition, id, hintFor, routing: routingOf(target) }
    if (this.#isOwn(node)) return void (await this.#router.hint(request, () => options))
    checkPlaceKnown(node, endpoint.capabilitiesOf(node), id)
    if (isCapable(endpoint, node, HINTS)) await endpoint.call(node, hintMethod, request, options)
    else throw notesNone(node)
  }

  /** `epoch` as that of a target. */
  scan(
    node: string,
    request: ScanRequest & { readonly epoch?: number },
    options: VnodeCallOptions,
  ): Promise<ScanReply> {
    const routed = { ...request, routing: routingOf({ epoch: request.epoch ?? 0 }) }
    return this.#isOwn(node) ? this.#router.scan(routed, () => options) : this.#scanAt(node, routed, options)
  }

  #scanAt(node: string, request: Routed<ScanRequest>, options: VnodeCallOptions): Promise<ScanReply> {
    const { endpoint } = this.#parts
    return endpoint.call(node, scanMethod, scanFor(endpoint, node, request), options)
  }

  #isOwn(node: string): boolean {
    return node === this.#parts.node
  }
}

/** The record of a head that has the write as its only value; undefined for any other one, which is not believed. */
function writtenAlone(
  head: Uint8Array,
  { content, valueCrc32, writeId }: Pick<CoordinateRequest, 'content' | 'valueCrc32' | 'writeId'>,
): StoredRecord | undefined {
  const record = told(head, content.value)
  const [only, ...others] = record?.siblings ?? []
  const isWrite = only !== undefined && others.length === 0 && only.valueCrc32 === valueCrc32
  return isWrite && equalBytes(only.writeId, writeId) ? record : undefined
}

function told(head: Uint8Array, value: Uint8Array): StoredRecord | undefined {
  try {
    return decodeRecord(head, value)
  } catch {
    return undefined
  }
}

function routingOf({ role = 'primary', epoch = 0 }: Pick<VnodeTarget, 'role' | 'epoch'>): Routing {
  return { role, epoch, forwards: 0, bySeal: false }
}
