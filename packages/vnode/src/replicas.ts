import type { StoredRecord } from '@atoll/causality'
import type { KeyId } from '@atoll/core'
import type { RpcEndpoint } from '@atoll/transport'
import { checkValues } from './envelope.ts'
import type { VnodeHost } from './host.ts'
import { coordinateMethod, getMethod, putMethod, scanMethod } from './methods.ts'
import type {
  CoordinateReply,
  CoordinateRequest,
  GetReply,
  PutReply,
  ScanReply,
  ScanRequest,
} from './protocol.ts'

/** The vnode `partition` on `node`. */
export interface VnodeTarget {
  readonly node: string
  readonly partition: number
}

export interface VnodeCallOptions {
  /** For another node only: one's own answers or fails. */
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

export interface VnodeReplicasParts {
  /** The name of this node. */
  readonly node: string
  readonly host: VnodeHost
  readonly endpoint: Pick<RpcEndpoint, 'call'>
}

/** Vnodes near and far: this node's own are called directly, those of others over rpc. */
export class VnodeReplicas {
  readonly #parts: VnodeReplicasParts

  constructor(parts: VnodeReplicasParts) {
    this.#parts = parts
  }

  async get({ node, partition }: VnodeTarget, id: KeyId, options: VnodeCallOptions): Promise<GetReply> {
    const { host, endpoint } = this.#parts
    const request = { partition, id }
    if (this.#isOwn(node)) return host.get(request)
    const reply = await endpoint.call(node, getMethod, request, options)
    if (reply.record !== undefined) checkValues(reply.record, host.crc32)
    return reply
  }

  put(
    { node, partition }: VnodeTarget,
    id: KeyId,
    record: StoredRecord,
    options: VnodeCallOptions & { readonly onAccepted?: (() => void) | undefined },
  ): Promise<PutReply> {
    const { host, endpoint } = this.#parts
    const { onAccepted, ...call } = options
    const request = { partition, id, record }
    return this.#isOwn(node)
      ? host.put(request, { onAccepted })
      : endpoint.call(node, putMethod, request, { ...call, onProgress: onAccepted })
  }

  async coordinate(
    { node, partition }: VnodeTarget,
    id: KeyId,
    write: Omit<CoordinateRequest, 'partition' | 'id'>,
    options: VnodeCallOptions,
  ): Promise<CoordinateReply> {
    const { host, endpoint } = this.#parts
    const request = { ...write, partition, id }
    if (this.#isOwn(node)) return host.coordinate(request)
    const reply = await endpoint.call(node, coordinateMethod, request, options)
    checkValues(reply.record, host.crc32)
    return reply
  }

  scan(node: string, request: ScanRequest, options: VnodeCallOptions): Promise<ScanReply> {
    const { host, endpoint } = this.#parts
    return this.#isOwn(node) ? host.scan(request, options) : endpoint.call(node, scanMethod, request, options)
  }

  #isOwn(node: string): boolean {
    return node === this.#parts.node
  }
}
