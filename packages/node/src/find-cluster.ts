import { AtollError, EMPTY_BYTES, type Runtime } from '@atoll/core'
import type { NodeName } from '@atoll/ring'
import { Backoff, RpcEndpoint } from '@atoll/transport'
import { documentMethod } from './control-methods.ts'
import { isSilence, type Meeting, type Met, meetAll, meetMethod } from './meeting.ts'
import type { NodeNetwork } from './node-network.ts'

export interface Search {
  readonly runtime: Runtime
  /** Addresses. */
  readonly seeds: readonly string[]
  /** This node may begin a cluster if those who answer have none. */
  readonly mayBegin: boolean
  readonly timeoutMs: number
}

/** Of the cluster that was found, everybody who was met. */
export type Found = readonly (Met & { readonly document: NonNullable<Met['document']> })[]

const BACKOFF = { baseMs: 200, capMs: 5000 } as const
/** Nobody has an identity before there is data. */
const NOBODY = { clusterId: undefined, memberId: undefined, generation: undefined, epoch: 0 } as const
/** What the seeds say will not change by asking again. */
const FINAL: readonly string[] = ['ATOLL_FORMAT', 'ATOLL_UNAUTHORIZED', 'ATOLL_PROTOCOL']

/**
 * Looks for the cluster of the seeds, for a node that has no data. Meanwhile it tells others who ask that it has none
 * either. Resolves with nobody if the node may begin one: that is after one round, whoever does not answer. Throws what
 * a seed answered that will not change, else `ATOLL_UNREACHABLE` when the time is over.
 */
export async function findCluster(node: NodeName, network: NodeNetwork, search: Search): Promise<Found> {
  const { runtime } = search
  const addressOf = () => network.listen
  const identity = { own: () => NOBODY, judge: () => 'stranger' as const }
  const endpoint = new RpcEndpoint(
    runtime,
    { transport: network.transport, addressOf, identity },
    { node, clusterName: network.clusterName },
  )
  await endpoint.open()
  endpoint.handle(documentMethod, async () => EMPTY_BYTES)
  endpoint.handle(meetMethod, async () => ({ address: undefined, bytes: EMPTY_BYTES }))
  try {
    return await askUntilFound(node, { endpoint, network }, search)
  } finally {
    await endpoint.close()
  }
}

async function askUntilFound(
  node: NodeName,
  { endpoint, network }: { readonly endpoint: RpcEndpoint; readonly network: NodeNetwork },
  { runtime, seeds, mayBegin, timeoutMs }: Search,
): Promise<Found> {
  const { clock, random, log } = runtime
  const address = network.advertise ?? endpoint.address
  const request = { clusterId: undefined, memberId: undefined, address }
  const parts = { endpoint, transport: network.transport, request }
  const backoff = new Backoff(random, BACKOFF)
  const endMs = clock.monotonicMs() + timeoutMs
  for (;;) {
    const meetings = await meetAll(parts, seeds)
    const found = meetings.flatMap((meeting) => (meeting.kind === 'met' ? inCluster(meeting.met) : []))
    if (found.length > 0) return found
    const errors = meetings.flatMap((meeting) => (meeting.kind === 'failed' ? [meeting.error] : []))
    const final = errors.find(isFinal)
    if (final !== undefined) throw final
    if (mayBegin && errors.every(isSilence)) return []
    const seen = meetings.map(describeMeeting).join('; ')
    const nowMs = clock.monotonicMs()
    if (nowMs >= endMs) throw nothingFound(node, timeoutMs, seen)
    backoff.failed(nowMs)
    log.info({ node, seen }, 'no cluster to join yet')
    await clock.sleep(Math.min(1 + backoff.remainingMs(nowMs), endMs - nowMs))
  }
}

/** A process that seems to have the name of this one may be its own former life, which is not known to be gone yet. */
function isFinal({ code, details }: AtollError): boolean {
  return FINAL.includes(code) && details['reason'] !== 'name'
}

function inCluster(met: Met): Found {
  return met.document === undefined ? [] : [{ ...met, document: met.document }]
}

function describeMeeting(meeting: Meeting): string {
  switch (meeting.kind) {
    case 'met':
      return `${meeting.met.node} at ${meeting.seed} has no cluster yet`
    case 'itself':
      return `${meeting.seed} is this node`
    case 'failed':
      return `${meeting.seed}: ${meeting.error.message}`
  }
}

function nothingFound(node: NodeName, timeoutMs: number, seen: string): AtollError {
  const what = `${node} found no cluster to join within ${timeoutMs} ms`
  const advice = 'a cluster is begun by the node that is opened with begin'
  return new AtollError(
    'ATOLL_UNREACHABLE',
    `${what} (${seen === '' ? 'no seed is another node' : seen}); ${advice}`,
  )
}
