import type { GatePhase } from '@atoll/vnode'
import type { Routing } from './protocol.ts'

/** What this node's document says of who serves what. */
export interface Ownership {
  /** Epoch of the document, from 1. */
  readonly epoch: number
  /**
   * How many partitions the ring has, and since which epoch; default as many as the host, since ever. Requests of other
   * epochs may go by another number.
   */
  readonly ring?: { readonly partitions: number; readonly since: number } | undefined
  /**
   * The epoch from which on whoever asks knows how far this node's word goes: others are told nothing of what it has or
   * lacks. It is never while the node does not know whether its data is an older copy, and the epoch that says so while
   * it is one; default always.
   */
  readonly readsFrom?: number | undefined
  /**
   * The same of another node, as far as this one knows it: for what is sent on, since the other one learns the epoch of
   * this node alone.
   */
  readonly readsFromOf?: ((node: string) => number) | undefined
  /** By partition: the epoch that its list got longer with, for the last time; 0, the default, for never. */
  readonly grownAt?: readonly number[] | undefined
  /**
   * Who serves this node's replica of a partition: this node if it holds one, or else the node that has taken its place in
   * the list; undefined if it never had one, or does not know any more who took it over.
   */
  ownerOf(partition: number): string | undefined
}

/** Where a partition stands on this node. */
export interface PartitionStanding {
  readonly node: string
  /** The transfer of the partition to another node, if there is one. */
  readonly gate: { readonly to: string; readonly phase: GatePhase } | undefined
  /** The node that has handed the partition over to this one, and still forwards. */
  readonly inboundFrom: string | undefined
  /** Undefined if nobody decides who owns what: everything is served where it is asked. */
  readonly ownership: Ownership | undefined
  /**
   * Whether this node knows all holders that came to the list of the partition since the epoch of the request, and
   * hands on to them what is written by it; default false, as after a restart.
   */
  readonly handsOn?: boolean
}

export interface RouteRequest {
  readonly partition: number
  readonly kind: 'read' | 'write'
  readonly routing: Routing
}

export type Route =
  | { readonly kind: 'here' }
  /** Until the gate of the partition changes. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'forward'; readonly to: string; readonly routing: Routing }
  /** `unsealed` if this node does not know that the partition was handed over to it. */
  | { readonly kind: 'refuse'; readonly unsealed: boolean }

export const HERE: Route = { kind: 'here' }
const WAIT: Route = { kind: 'wait' }
const REFUSE: Route = { kind: 'refuse', unsealed: false }
const REFUSE_UNSEALED: Route = { kind: 'refuse', unsealed: true }

/** A request goes from its coordinator to a former owner, over a seal, and perhaps over one more; then it is lost. */
const MAX_FORWARDS = 4

/**
 * Whoever sends a request on makes sure that who asked knows what this node knows of who is asked next, since its own
 * epoch goes along. So the first node on the way whose document says something that the asker has to know refuses. Who
 * serves a request. Of the nodes that a partition moves between, one accepts at a time: the source until it has sealed,
 * thereafter the target, first by what the source forwards and then by the document. A request that is sent on has a
 * greater epoch each time, or goes over a seal, which a partition has one of; and it is sent on four times at most.
 */
export function route(request: RouteRequest, standing: PartitionStanding): Route {
  const { gate } = standing
  switch (gate?.phase) {
    case 'sealed':
      return forward(gate.to, request, standing, true)
    case 'resealing':
      return WAIT
    case 'cut-off':
      return REFUSE
    case 'pausing':
      return request.kind === 'write' ? routeIfHere(request, standing, WAIT) : routeOpen(request, standing)
    default:
      return routeOpen(request, standing)
  }
}

/** True if a partition without any gate serves the request for certain, which is nearly always so: to be asked first. */
export function isPlainlyHere({ role, epoch, bySeal }: Routing, ownership: Ownership | undefined): boolean {
  if (ownership === undefined) return true
  return !bySeal && (epoch === 0 || role === 'fallback' || epoch >= ownership.epoch)
}

function routeIfHere(request: RouteRequest, standing: PartitionStanding, instead: Route): Route {
  const open = routeOpen(request, standing)
  return open.kind === 'here' ? instead : open
}

function routeOpen({ partition, kind, routing }: RouteRequest, standing: PartitionStanding): Route {
  const { ownership, node } = standing
  if (isPlainlyHere(routing, ownership) || ownership === undefined) return HERE
  const owner = ownership.ownerOf(partition)
  if (owner === node) return isByShorterList({ partition, routing }, standing) ? REFUSE : HERE
  if (routing.bySeal) return routeSealed(owner, { partition, kind, routing }, standing)
  return owner === undefined ? REFUSE : forward(owner, { partition, kind, routing }, standing, false)
}

/**
 * Whoever goes by a list from before it got longer takes too few replicas for a majority, and has to learn of that
 * first.
 */
function isByShorterList(
  { partition, routing }: Pick<RouteRequest, 'partition' | 'routing'>,
  { ownership, handsOn = false }: PartitionStanding,
): boolean {
  if (handsOn || routing.epoch === 0 || routing.role === 'fallback') return false
  return routing.epoch < (ownership?.grownAt?.[partition] ?? 0)
}

/** A request by a node that has handed the partition over to this one. */
function routeSealed(owner: string | undefined, request: RouteRequest, standing: PartitionStanding): Route {
  const { ownership, inboundFrom } = standing
  // Unless this node knows of someone who has got the partition since.
  if (owner === undefined || owner === inboundFrom || request.routing.epoch >= (ownership?.epoch ?? 0)) {
    return inboundFrom === undefined ? REFUSE_UNSEALED : HERE
  }
  return forward(owner, request, standing, false)
}

function forward(to: string, request: RouteRequest, standing: PartitionStanding, bySeal: boolean): Route {
  const { routing, kind } = request
  const { ownership } = standing
  const isReadByOlder = kind === 'read' && routing.epoch < (ownership?.readsFromOf?.(to) ?? 0)
  // Whether the other node hands on to all that came to the list, nobody knows here.
  const isByOlder = isReadByOlder || isByShorterList(request, { ...standing, handsOn: false })
  if (isByOlder || routing.forwards >= MAX_FORWARDS) return REFUSE
  const epoch = Math.max(routing.epoch, ownership?.epoch ?? 0)
  return { kind: 'forward', to, routing: { ...routing, epoch, bySeal, forwards: routing.forwards + 1 } }
}
