import { EMPTY_RECORD, type MergePolicy, mergeRecords, type StoredRecord } from '@atoll/causality'
import { AtollError, type KeyId } from '@atoll/core'
import { checkPartitions, overlapping } from '@atoll/ring'
import { callOrStream, isCapable, type Method, type RpcEndpoint } from '@atoll/transport'
import {
  type CoordinateReply,
  type CoordinateRequest,
  checkPlaceKnown,
  type GetReply,
  type GetRequest,
  type HintRequest,
  type Mirror,
  type Mirrors,
  type PutReply,
  type PutRequest,
  QUIET_PUTS,
  type ScanRequest,
  type VnodeHost,
} from '@atoll/vnode'
import { isLargeRecord } from './large-records.ts'
import { getMethod, putMethod } from './methods.ts'
import type { Place } from './numbering.ts'
import type { Routed, Routing } from './protocol.ts'

/** What is left of the caller's patience. */
export interface Patience {
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

export interface MirroredVnodesParts {
  readonly host: VnodeHost
  readonly endpoint: Pick<RpcEndpoint, 'call' | 'openStream' | 'capabilitiesOf'>
  /** How many partitions the ring has, as this node knows it. */
  readonly ring: () => number
}

/** Where a request is served here, and for how long. */
export interface ServedAt {
  readonly place: Place
  readonly routing: Routing
  readonly patience: () => Patience
}

/** Whoever is asked so answers for itself. */
const AS_FALLBACK: Routing = { role: 'fallback', epoch: 0, forwards: 0, bySeal: false }

/**
 * The vnodes of this node, together with the holders that a coordinator does not know of (`Mirrors`). Nearly always there
 * are none, and a request goes straight to the host. Requests name partitions as the host has filed them.
 */
export class MirroredVnodes {
  readonly #parts: MirroredVnodesParts

  constructor(parts: MirroredVnodesParts) {
    this.#parts = parts
  }

  /** With what holders have of which the asking coordinator does not know: then as a whole, since that is merged. */
  async get(request: GetRequest, { place, routing, patience }: ServedAt): Promise<GetReply> {
    const { host, ring } = this.#parts
    const unknown = host.mirrors.unknownHolders(request.partition, routing.epoch)
    if (unknown.length === 0) return host.get(request)
    const call = patience()
    const asking = { partition: place.in(ring()), id: request.id, routing: AS_FALLBACK }
    // All are waited for at once: whichever fails first, nobody is left to fail with nobody to hear it.
    const [reply, ...others] = await Promise.all([
      host.get({ partition: request.partition, id: request.id }),
      ...unknown.map((to) => this.#call(to, getMethod, asking, call)),
    ])
    const policy = host.policyOf(request.id.type)
    return others.reduce((merged, other) => mergeReplies(policy, merged, other), reply)
  }

  /** What is known to a holder that the coordinator does not know of is not known here: so no record is alone. */
  async put(request: PutRequest, serving: ServedAt, onAccepted: (() => void) | undefined): Promise<PutReply> {
    const { host } = this.#parts
    const { partition } = request
    if (host.mirrors.of(partition) === undefined) return host.put(request, { onAccepted })
    const isAmongStrangers = host.mirrors.hasStrangers(partition, serving.routing.epoch)
    const writing = async () => {
      const stored = await host.put(request, { onAccepted })
      const isOver = await this.#mirror(request, serving)
      return isOver ? stored : { ...stored, released: false }
    }
    const stored = await host.mirrors.partOfCopies(partition, writing())
    return request.tellAlone && isAmongStrangers ? { ...stored, alone: false } : stored
  }

  async coordinate(request: CoordinateRequest, serving: ServedAt): Promise<CoordinateReply> {
    const { host } = this.#parts
    const { partition, id } = request
    if (host.mirrors.of(partition) === undefined) return host.coordinate(request)
    if (request.ifAlone && host.mirrors.hasStrangers(partition, serving.routing.epoch))
      return { record: EMPTY_RECORD, declined: true }
    const writing = async () => {
      const stored = await host.coordinate(request)
      if (!stored.declined) await this.#mirror({ id, record: stored.record }, serving)
      return stored
    }
    return host.mirrors.partOfCopies(partition, writing())
  }

  /**
   * Throws `ATOLL_UNREACHABLE` for a scan by a ring of `by` partitions of which the coordinator does not know all
   * holders.
   */
  checkLists({ vnodes, routing }: Routed<ScanRequest>, by: number): void {
    const { mirrors, filed } = this.#parts.host
    if (mirrors.isEmpty) return
    for (const vnode of vnodes) {
      for (const partition of overlapping(vnode.partition, checkPartitions(by), filed)) {
        const [unknown] = mirrors.unknownHolders(partition, routing.epoch)
        if (unknown !== undefined) throw oldList(partition, unknown)
      }
    }
  }

  /**
   * Throws `ATOLL_UNREACHABLE` if a node that counts as a holder for others did not get the record. False if the record is
   * still on its way to a node that is only being filled.
   */
  async #mirror(
    { id, record }: Pick<PutRequest, 'id' | 'record'>,
    { place, routing, patience }: ServedAt,
  ): Promise<boolean> {
    const { host, endpoint, ring } = this.#parts
    // Asked again: the records may have been filed anew while the write was under way.
    const partition = place.in(host.filed)
    const awaited = new Map<string, Promise<PutReply>>()
    let isOver = true
    for (const [to, mirror] of host.mirrors.needing(partition, routing.epoch)) {
      const quiet = isCapable(endpoint, to, QUIET_PUTS)
      const copy = { partition: place.in(ring()), id, record, quiet, routing: AS_FALLBACK }
      const sending = this.#call(to, putMethod, copy, patience())
      if (mirror.stage === 'copying') {
        sendBeside(host.mirrors, mirror, sending)
        isOver = false
      } else awaited.set(to, sending)
    }
    if (awaited.size > 0) await this.#arrive(awaited, { id, place })
    return isOver
  }

  /** That a holder missed it nobody else can note: the coordinator does not know of that one. */
  async #arrive(
    awaited: ReadonlyMap<string, Promise<PutReply>>,
    { id, place }: Pick<ServedAt, 'place'> & Pick<PutRequest, 'id'>,
  ): Promise<void> {
    const outcomes = await Promise.allSettled(awaited.values())
    const failed = [...awaited.keys()].filter((_, at) => outcomes[at]?.status === 'rejected')
    if (failed.length === 0) return
    const { host } = this.#parts
    const partition = place.in(host.filed)
    await this.#noteMissed({ partition, id, hintFor: failed })
    const cause = outcomes.find((outcome) => outcome.status === 'rejected')?.reason
    const message = `${failed.join(' and ')} hold partition ${partition} as well, and did not get the write`
    throw new AtollError('ATOLL_UNREACHABLE', message, { cause, definite: false })
  }

  /** If that cannot be noted, the write is here all the same, and the caller hears why it has failed. */
  async #noteMissed(hint: HintRequest): Promise<void> {
    const { host } = this.#parts
    try {
      await host.hint(hint)
    } catch (error) {
      const { hintFor: missed, partition } = hint
      host.runtime.log.warn(
        { partition, missed, err: error },
        'that other holders missed a write could not be noted',
      )
      host.runtime.metrics.count('atoll_coordinator_hints_lost_total', missed.length)
    }
  }

  async #call<Request, Response, Progress>(
    to: string,
    method: Method<Request, Response, Progress>,
    request: Request & { readonly id: KeyId; readonly record?: StoredRecord | undefined },
    call: Patience,
  ): Promise<Response> {
    const { endpoint, host } = this.#parts
    const { clock, metrics } = host.runtime
    checkPlaceKnown(to, endpoint.capabilitiesOf(to), request.id)
    metrics.count('atoll_vnode_forwards_total', 1, { method: method.name })
    const isLarge = isLargeRecord(request.record)
    return callOrStream({ endpoint, clock }, { node: to, method, request, isLarge }, call)
  }
}

function mergeReplies(policy: MergePolicy, reply: GetReply, other: GetReply): GetReply {
  if (other.record === undefined) return reply
  const record = reply.record === undefined ? other.record : mergeRecords(policy, reply.record, other.record)
  return { ...reply, record }
}

/** A node that is only being filled must not hold up anybody. */
function sendBeside(mirrors: Mirrors, mirror: Mirror, sending: Promise<PutReply>): void {
  const arriving = sending.then(
    () => {},
    () => mirrors.spoil(mirror),
  )
  mirror.underWay.add(arriving)
  void arriving.then(() => mirror.underWay.delete(arriving))
}

/** A page cannot be put together from copies of the same vnode; the list will be known in a moment. */
function oldList(partition: number, holder: string): AtollError {
  const message = `${holder} holds partition ${partition} as well, of which the scan does not know yet`
  return new AtollError('ATOLL_UNREACHABLE', message)
}
