import type { StoredRecord } from '@atoll/causality'
import { AtollError, isAtollError, type KeyId } from '@atoll/core'
import { callOrStream, type Method, type RpcEndpoint } from '@atoll/transport'
import { checkPlaceKnown, type VnodeHost } from '@atoll/vnode'
import { isLargeRecord } from './large-records.ts'
import type { Patience } from './mirrored-vnodes.ts'
import { type Place, placeOfKey, ringOf, ringOfRequest } from './numbering.ts'
import type { Routed, Routing } from './protocol.ts'
import { HERE, isPlainlyHere, type Ownership, type Route, route } from './route.ts'

export interface RouterParts {
  readonly host: VnodeHost
  readonly endpoint: Pick<RpcEndpoint, 'call' | 'openStream' | 'capabilitiesOf'>
  /** What this node's document says; default that everything is served where it is asked. */
  readonly ownership?: (() => Ownership) | undefined
}

/** Which partition is asked, and by what the request came here. */
export interface Asking {
  readonly place: Place
  readonly kind: 'read' | 'write'
  readonly routing: Routing
}

export type KeyRequest = Routed<{ readonly partition: number; readonly id: KeyId }>

/** How long a request waits for a partition that is just being handed over, at most. */
const MAX_WAIT_MS = 5000
/** A node that restarted has to be told again that a partition was handed over to it; more than once is bad luck. */
const MAX_TRIES = 4

/** Where requests go from this node at this moment: asks `route`, waits for gates, and sends them on. */
export class Ways {
  readonly #parts: RouterParts

  constructor(parts: RouterParts) {
    this.#parts = parts
  }

  /** Who asks by an older document would believe what this node says of what it lacks. */
  assertReadable({ routing }: Routed<object>): void {
    const { host, ownership } = this.#parts
    const readsFrom = ownership?.().readsFrom ?? 0
    if (routing.epoch >= readsFrom) return
    const why =
      readsFrom === Number.POSITIVE_INFINITY
        ? 'does not know yet whether its data is an older copy'
        : `was restored, which whoever asks by epoch ${routing.epoch} does not know`
    throw new AtollError('ATOLL_UNREACHABLE', `${host.node} ${why}`)
  }

  /** How many partitions the ring has, as this node knows it. */
  get ring(): number {
    const { host, ownership } = this.#parts
    return ringOf(ownership?.(), host.filed)
  }

  /** What a request for a key asks. */
  askingOf(request: KeyRequest, kind: Asking['kind']): Asking {
    const { host, ownership } = this.#parts
    const by = ringOfRequest(request.routing, ownership?.(), host.filed)
    return { place: placeOfKey(request, by, host.runtime.digest.sha1), kind, routing: request.routing }
  }

  /**
   * Whether nothing moves: the partition is served here, has no holder that the coordinator may not know of, and is what
   * both call by this number. Nearly always so, and asked first.
   */
  isSettled({ partition, routing }: KeyRequest): boolean {
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
  filed<Request extends KeyRequest>(request: Request, { place }: Asking): Request {
    const partition = place.in(this.#parts.host.filed)
    return partition === request.partition ? request : { ...request, partition }
  }

  /** With the epoch that it came with it names the partition as it did, and with that of this node as this one does. */
  forwarded<Request extends KeyRequest>(request: Request, { place }: Asking, routing: Routing): Request {
    const partition = routing.epoch === request.routing.epoch ? request.partition : place.in(this.ring)
    return { ...request, partition, routing }
  }

  /** Whether the partition is served by this node. */
  isHere(asking: Asking): boolean {
    const { host, ownership } = this.#parts
    const gate = host.gates.get(asking.place.in(host.filed))
    if (gate === undefined && isPlainlyHere(asking.routing, ownership?.())) return true
    return this.#route(asking) === HERE
  }

  #route({ place, kind, routing }: Asking): Route {
    const { host, ownership } = this.#parts
    const filed = place.in(host.filed)
    return route(
      { partition: place.in(this.ring), kind, routing },
      {
        node: host.node,
        gate: host.gates.get(filed),
        inboundFrom: host.gates.inboundFrom(filed),
        ownership: ownership?.(),
        handsOn: host.mirrors.isSettled(filed, routing.epoch),
      },
    )
  }

  /** Does what `route` says of one partition. */
  elsewhere<T>(
    asking: Asking,
    patience: () => Patience,
    ways: {
      readonly here: () => Promise<T>
      readonly there: (to: string, routing: Routing, call: Patience) => Promise<T>
    },
  ): Promise<T> {
    return this.retrying([asking], patience, async ([way], call) => {
      if (way?.kind !== 'forward') return ways.here()
      const send = () => ways.there(way.to, way.routing, call)
      const { host } = this.#parts
      return way.routing.bySeal ? host.gates.forwarding(asking.place.in(host.filed), send) : send()
    })
  }

  /** Waits for gates that are about to open or close, and asks again where a seal was not known. */
  async retrying<T>(
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

  /** Sends a request on to the node that serves it. */
  async call<Request, Response, Progress>(
    to: string,
    method: Method<Request, Response, Progress>,
    request: Request & { readonly record?: StoredRecord | undefined; readonly id?: KeyId | undefined },
    call: Patience & { readonly onProgress?: ((value: Progress) => void) | undefined },
  ): Promise<Response> {
    const { endpoint, host } = this.#parts
    const { clock, metrics } = host.runtime
    if (request.id !== undefined) checkPlaceKnown(to, endpoint.capabilitiesOf(to), request.id)
    metrics.count('atoll_vnode_forwards_total', 1, { method: method.name })
    const isLarge = isLargeRecord(request.record)
    return callOrStream({ endpoint, clock }, { node: to, method, request, isLarge }, call)
  }
}

function isBySeal(way: Route): boolean {
  return way.kind === 'forward' && way.routing.bySeal
}

export function notServed(partition: number | undefined, unsealed: boolean): AtollError {
  const message = `partition ${partition} is being handed over, or has more holders than the request knows: it is not served here`
  return new AtollError('ATOLL_UNREACHABLE', message, { details: { partition: partition ?? -1, unsealed } })
}

function isUnsealed(error: unknown): boolean {
  return isAtollError(error, 'ATOLL_UNREACHABLE') && error.details['unsealed'] === true
}
