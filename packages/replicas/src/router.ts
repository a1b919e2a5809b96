import type { StoredRecord } from '@atoll/causality'
import { AtollError, behindWrite, isAtollError, type KeyId } from '@atoll/core'
import { checkPartitions, overlapping } from '@atoll/ring'
import { callOrStream, type Method, type RpcEndpoint } from '@atoll/transport'
import type {
  CoordinateReply,
  CoordinateRequest,
  GetReply,
  GetRequest,
  HintRequest,
  PutReply,
  PutRequest,
  ScanReply,
  ScanRequest,
  ScanVnode,
} from '@atoll/vnode'
import { checkValues, mergeScans, type VnodeHost } from '@atoll/vnode'
import { knowsDigests, knowsHints, knowsWriteIds, notesNone, scanFor } from './capabilities.ts'
import { isLargeRecord } from './large-records.ts'
import { coordinateMethod, getMethod, hintMethod, putMethod, scanMethod } from './methods.ts'
import { MirroredVnodes, type Patience } from './mirrored-vnodes.ts'
import { type Place, placeOfKey, placeOfPartition, ringOf, ringOfRequest } from './numbering.ts'
import type { Routed, Routing } from './protocol.ts'
import { HERE, isPlainlyHere, type Ownership, type Route, route } from './route.ts'
import { allHere, type ScanPart, splitScan } from './scan-split.ts'

export interface RouterParts {
  readonly host: VnodeHost
  readonly endpoint: Pick<RpcEndpoint, 'call' | 'openStream' | 'capabilitiesOf'>
  /** What this node's document says; default that everything is served where it is asked. */
  readonly ownership?: (() => Ownership) | undefined
}

interface Asking {
  readonly place: Place
  readonly kind: 'read' | 'write'
  readonly routing: Routing
}

type KeyRequest = Routed<{ readonly partition: number; readonly id: KeyId }>

/** How long a request waits for a partition that is just being handed over, at most. */
const MAX_WAIT_MS = 5000
/** A node that restarted has to be told again that a partition was handed over to it; more than once is bad luck. */
const MAX_TRIES = 4

/** Brings every request to the node that serves its partition at this moment, which is nearly always this one. */
export class VnodeRouter {
  readonly #parts: RouterParts
  readonly #vnodes: MirroredVnodes

  constructor(parts: RouterParts) {
    this.#parts = parts
    const { host, endpoint } = parts
    this.#vnodes = new MirroredVnodes({ host, endpoint, ring: () => this.#ring })
  }

  async get(request: Routed<GetRequest>, patience: () => Patience): Promise<GetReply> {
    this.#assertReadable(request)
    const { host } = this.#parts
    if (this.#isSettled(request)) {
      const reply = await host.get(request)
      if (hasFound(reply) || this.#isSettled(request)) return reply
    }
    const asking = this.#askingOf(request, 'read')
    const here = () => this.#vnodes.get(this.#filed(request, asking), { ...asking, patience })
    if (this.#isHere(asking)) {
      const reply = await here()
      // A record that was given away while it was asked for is where the partition is now.
      if (hasFound(reply) || this.#isHere(asking)) return reply
    }
    const reply = await this.#elsewhere(asking, patience, {
      here,
      there: (to, routing, call) => {
        const digestOnly = request.digestOnly && knowsDigests(this.#parts.endpoint, to)
        return this.#call(to, getMethod, this.#forwarded({ ...request, digestOnly }, asking, routing), call)
      },
    })
    if (reply.record !== undefined) checkValues(reply.record, host.crc32)
    return reply
  }

  put(
    request: Routed<PutRequest>,
    patience: () => Patience,
    onAccepted: (() => void) | undefined,
  ): Promise<PutReply> {
    if (this.#isSettled(request)) return this.#parts.host.put(request, { onAccepted })
    const asking = this.#askingOf(request, 'write')
    const here = () => this.#vnodes.put(this.#filed(request, asking), { ...asking, patience }, onAccepted)
    if (this.#isHere(asking)) return here()
    return this.#elsewhere(asking, patience, {
      here,
      there: (to, routing, call) => {
        const tellTwice = request.tellTwice && knowsWriteIds(this.#parts.endpoint, to)
        const forwarded = this.#forwarded(
          { ...request, tellTwice, ...this.#hintFor(request, to) },
          asking,
          routing,
        )
        return this.#call(to, putMethod, forwarded, { ...call, onProgress: onAccepted })
      },
    })
  }

  coordinate(request: Routed<CoordinateRequest>, patience: () => Patience): Promise<CoordinateReply> {
    const { host } = this.#parts
    if (this.#isSettled(request)) return host.coordinate(request)
    const asking = this.#askingOf(request, 'write')
    const here = () => this.#vnodes.coordinate(this.#filed(request, asking), { ...asking, patience })
    if (this.#isHere(asking)) return here()
    return this.#elsewhere(asking, patience, {
      here,
      there: async (to, routing, call) => {
        const told = { ...request, ...this.#hintFor(request, to) }
        const reply = await this.#call(to, coordinateMethod, this.#forwarded(told, asking, routing), call)
        await behindWrite(() => checkValues(reply.record, host.crc32))
        return reply
      },
    })
  }

  /** A node of before cannot note it. */
  hint(request: Routed<HintRequest>, patience: () => Patience): Promise<'done'> {
    const { host, endpoint } = this.#parts
    const asking = this.#askingOf(request, 'write')
    const here = async () => {
      await host.hint(this.#filed(request, asking))
      return 'done' as const
    }
    if (this.#isHere(asking)) return here()
    return this.#elsewhere(asking, patience, {
      here,
      there: (to, routing, call) =>
        knowsHints(endpoint, to)
          ? this.#call(to, hintMethod, this.#forwarded(request, asking, routing), call)
          : Promise.reject(notesNone(to)),
    })
  }

  #hintFor({ hintFor }: Pick<PutRequest, 'hintFor'>, to: string): Pick<PutRequest, 'hintFor'> {
    return { hintFor: knowsHints(this.#parts.endpoint, to) ? hintFor : undefined }
  }

  /** A page of vnodes of which some have moved is put together from pages of those who serve them. */
  async scan(asked: Routed<ScanRequest>, patience: () => Patience): Promise<ScanReply> {
    this.#assertReadable(asked)
    const { host } = this.#parts
    const by = asked.partitions ?? this.#ring
    const request = asked.partitions === undefined && by !== host.filed ? { ...asked, partitions: by } : asked
    this.#vnodes.checkLists(request, by)
    if (by !== this.#ring) return this.#scanByOtherRing(request, by, patience)
    const askings = request.vnodes.map((vnode) => askingOfVnode(request, vnode, by))
    if (askings.every((asking) => this.#isHere(asking))) {
      return host.scan(request, { signal: patience().signal })
    }
    return this.#retrying(askings, patience, async (routes, call) => {
      if (allHere(routes)) return host.scan(request, { signal: call.signal })
      const parts = splitScan(request, routes)
      const pages = await Promise.all(parts.map((part) => this.#scanPart(part, call)))
      return mergeScans(pages, { limit: request.limit, bytes: host.scanBytes })
    })
  }

  /** Of a ring with another number of partitions than this node's: they are served here as a whole, or not at all. */
  async #scanByOtherRing(
    request: Routed<ScanRequest>,
    by: number,
    patience: () => Patience,
  ): Promise<ScanReply> {
    checkPartitions(by)
    const ring = this.#ring
    for (const vnode of request.vnodes) {
      for (const partition of overlapping(vnode.partition, by, ring)) {
        const isHere = this.#isHere(askingOfVnode(request, { ...vnode, partition }, ring))
        if (!isHere) throw notServed(partition, false)
      }
    }
    return this.#parts.host.scan(request, { signal: patience().signal })
  }

  /** Who asks by an older document would believe what this node says of what it lacks. */
  #assertReadable({ routing }: Routed<object>): void {
    const { host, ownership } = this.#parts
    const readsFrom = ownership?.().readsFrom ?? 0
    if (routing.epoch >= readsFrom) return
    const why =
      readsFrom === Number.POSITIVE_INFINITY
        ? 'does not know yet whether its data is an older copy'
        : `was restored, which whoever asks by epoch ${routing.epoch} does not know`
    throw new AtollError('ATOLL_UNREACHABLE', `${host.node} ${why}`)
  }

  #scanPart({ route: way, request }: ScanPart, call: Patience): Promise<ScanReply> {
    const { endpoint } = this.#parts
    return way.kind === 'forward'
      ? this.#call(way.to, scanMethod, scanFor(endpoint, way.to, { ...request, routing: way.routing }), call)
      : this.#parts.host.scan(request, { signal: call.signal })
  }

  /** How many partitions the ring has, as this node knows it. */
  get #ring(): number {
    const { host, ownership } = this.#parts
    return ringOf(ownership?.(), host.filed)
  }

  #askingOf(request: KeyRequest, kind: Asking['kind']): Asking {
    const { host, ownership } = this.#parts
    const by = ringOfRequest(request.routing, ownership?.(), host.filed)
    return { place: placeOfKey(request, by, host.runtime.digest.sha1), kind, routing: request.routing }
  }

  /**
   * Whether nothing moves: the partition is served here, has no holder that the coordinator may not know of, and is what
   * both call by this number. Nearly always so, and asked first.
   */
  #isSettled({ partition, routing }: KeyRequest): boolean {
    const { host, ownership } = this.#parts
    const owned = ownership?.()
    return (
      isPlainlyHere(routing, owned) &&
      ringOfRequest(routing, owned, host.filed) === host.filed &&
      host.gates.get(partition) === undefined &&
      host.mirrors.of(partition) === undefined
    )
  }

  /** The request as the host understands it. */
  #filed<Request extends KeyRequest>(request: Request, { place }: Asking): Request {
    const partition = place.in(this.#parts.host.filed)
    return partition === request.partition ? request : { ...request, partition }
  }

  /** With the epoch that it came with it names the partition as it did, and with that of this node as this one does. */
  #forwarded<Request extends KeyRequest>(request: Request, { place }: Asking, routing: Routing): Request {
    const partition = routing.epoch === request.routing.epoch ? request.partition : place.in(this.#ring)
    return { ...request, partition, routing }
  }

  #isHere(asking: Asking): boolean {
    const { host, ownership } = this.#parts
    const gate = host.gates.get(asking.place.in(host.filed))
    if (gate === undefined && isPlainlyHere(asking.routing, ownership?.())) return true
    return this.#route(asking) === HERE
  }

  #route({ place, kind, routing }: Asking): Route {
    const { host, ownership } = this.#parts
    const filed = place.in(host.filed)
    return route(
      { partition: place.in(this.#ring), kind, routing },
      {
        node: host.node,
        gate: host.gates.get(filed),
        inboundFrom: host.gates.inboundFrom(filed),
        ownership: ownership?.(),
        handsOn: host.mirrors.isSettled(filed, routing.epoch),
      },
    )
  }

  #elsewhere<T>(
    asking: Asking,
    patience: () => Patience,
    ways: {
      readonly here: () => Promise<T>
      readonly there: (to: string, routing: Routing, call: Patience) => Promise<T>
    },
  ): Promise<T> {
    return this.#retrying([asking], patience, async ([way], call) => {
      if (way?.kind !== 'forward') return ways.here()
      const send = () => ways.there(way.to, way.routing, call)
      const { host } = this.#parts
      return way.routing.bySeal ? host.gates.forwarding(asking.place.in(host.filed), send) : send()
    })
  }

  /** Waits for gates that are about to open or close, and asks again where a seal was not known. */
  async #retrying<T>(
    askings: readonly Asking[],
    patience: () => Patience,
    ask: (routes: readonly Route[], call: Patience) => Promise<T>,
  ): Promise<T> {
    const { clock } = this.#parts.host.runtime
    const { timeoutMs, signal } = patience()
    const deadlineMs = clock.monotonicMs() + timeoutMs
    const leftMs = () => deadlineMs - clock.monotonicMs()
    for (let tries = 1; ; tries++) {
      const routes = await this.#settled(askings, leftMs)
      try {
        return await ask(routes, { timeoutMs: leftMs(), signal })
      } catch (error) {
        if (tries === MAX_TRIES || !isUnsealed(error) || !routes.some(isBySeal)) throw error
      }
      await this.#reseal(askings, routes)
    }
  }

  /** The routes, once none of them has to wait. */
  async #settled(askings: readonly Asking[], leftMs: () => number): Promise<readonly Route[]> {
    const keptMs = Math.max(0, leftMs() - MAX_WAIT_MS)
    const { host } = this.#parts
    for (;;) {
      const routes = askings.map((asking) => this.#route(asking))
      for (const [at, way] of routes.entries()) {
        if (way.kind === 'refuse') throw notServed(askings[at]?.place.in(host.filed), way.unsealed)
      }
      const waiting = askings.find((_, at) => routes[at]?.kind === 'wait')
      if (waiting === undefined) return routes
      const partition = waiting.place.in(host.filed)
      const changed = await host.gates.changed(partition, leftMs() - keptMs)
      if (!changed) throw notServed(partition, false)
    }
  }

  async #reseal(askings: readonly Asking[], routes: readonly Route[]): Promise<void> {
    const { gates, filed } = this.#parts.host
    for (const [at, { place }] of askings.entries()) {
      const partition = place.in(filed)
      const way = routes[at]
      const isSealed = gates.get(partition)?.phase === 'sealed'
      if (way !== undefined && isBySeal(way) && isSealed) await gates.reseal(partition)
    }
  }

  #call<Request, Response, Progress>(
    to: string,
    method: Method<Request, Response, Progress>,
    request: Request & { readonly record?: StoredRecord | undefined },
    call: Patience & { readonly onProgress?: ((value: Progress) => void) | undefined },
  ): Promise<Response> {
    const { endpoint, host } = this.#parts
    const { clock, metrics } = host.runtime
    metrics.count('atoll_vnode_forwards_total', 1, { method: method.name })
    const isLarge = isLargeRecord(request.record)
    return callOrStream({ endpoint, clock }, { node: to, method, request, isLarge }, call)
  }
}

function askingOfVnode(
  { routing }: Routed<ScanRequest>,
  { partition, role = 'primary' }: ScanVnode,
  by: number,
): Asking {
  return { place: placeOfPartition(partition, by), kind: 'read', routing: { ...routing, role } }
}

function hasFound({ record, digest }: GetReply): boolean {
  return record !== undefined || digest !== undefined
}

function isBySeal(way: Route): boolean {
  return way.kind === 'forward' && way.routing.bySeal
}

function notServed(partition: number | undefined, unsealed: boolean): AtollError {
  const message = `partition ${partition} is being handed over, or has more holders than the request knows: it is not served here`
  return new AtollError('ATOLL_UNREACHABLE', message, { details: { partition: partition ?? -1, unsealed } })
}

function isUnsealed(error: unknown): boolean {
  return isAtollError(error, 'ATOLL_UNREACHABLE') && error.details['unsealed'] === true
}
