import {
  checkBytes,
  checkText,
  type KeyId,
  packKeyId,
  type Runtime,
  unpackKeyId,
  unpackWhole,
  wrongType,
} from '@atoll/core'
import type { NodeName, Placement } from '@atoll/ring'
import { partitionOf } from '@atoll/ring'
import type { Method, RpcEndpoint } from '@atoll/transport'
import type { VnodeHost } from '@atoll/vnode'

/** How many of some records a node holds: as one of the key's own replicas, and in place of another node. */
export interface Holdings {
  readonly primary: number
  readonly fallback: number
}

/** Replicas of some records, by the node that holds them. A node that did not answer is not in it. */
export type Census = ReadonlyMap<NodeName, Holdings>

/** What counts on one node. */
export interface CensusSite {
  readonly node: NodeName
  readonly runtime: Runtime
  readonly vnodes: VnodeHost
  readonly placement: () => Placement
  readonly replicasOf: (type: string) => number
}

export interface CensusMeans extends CensusSite {
  readonly endpoint: RpcEndpoint
  /** The other members that are up. */
  readonly others: readonly NodeName[]
  readonly signal: AbortSignal | undefined
}

/** Records that one message asks for. */
const MAX_IDS = 1000
const ASK_TIMEOUT_MS = 5000

/** How many of these records a node holds. A peer of an earlier build does not know the call, and is left out. */
export const censusMethod: Method<readonly KeyId[], Holdings> = {
  name: 'node.census',
  request: {
    encode: (ids) => ({ tuple: [ids.map(packKeyId)] }),
    decode: (reader) => reader.list((item) => unpackWhole(item.tuple(), unpackKeyId), MAX_IDS),
  },
  response: {
    encode: ({ primary, fallback }) => ({ tuple: [primary, fallback] }),
    decode: (reader) => ({ primary: reader.uint(), fallback: reader.uint() }),
  },
}

/** Asks the storage of every member that is up. Throws `TypeError` or `RangeError` for what are no names of records. */
export async function censusOf(means: CensusMeans, ids: readonly KeyId[]): Promise<Census> {
  checkIds(ids)
  const census = new Map<NodeName, Holdings>([[means.node, await holdingsOf(means, ids)]])
  const ask = async (node: NodeName) => {
    const holdings = await askAll(means, node, ids)
    if (holdings !== undefined) census.set(node, holdings)
  }
  await Promise.all(means.others.map(ask))
  means.signal?.throwIfAborted()
  return new Map([...census].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** How many of the records the own storage has. */
export async function holdingsOf(site: CensusSite, ids: readonly KeyId[]): Promise<Holdings> {
  const placement = site.placement()
  const { sha1 } = site.runtime.digest
  const count = { primary: 0, fallback: 0 }
  for (const id of ids) {
    const partition = partitionOf(id, placement.ring.partitions, sha1)
    const filed = partitionOf(id, site.vnodes.filed, sha1)
    const { record } = await site.vnodes.get({ partition: filed, id })
    if (record === undefined) continue
    const holders = placement.primaries(partition, site.replicasOf(id.type))
    count[holders.some((holder) => holder.node === site.node) ? 'primary' : 'fallback'] += 1
  }
  return count
}

/** In messages of bounded length, one after the other; undefined if one was not answered. */
async function askAll(
  { endpoint, signal }: CensusMeans,
  node: NodeName,
  ids: readonly KeyId[],
): Promise<Holdings | undefined> {
  const total = { primary: 0, fallback: 0 }
  for (let at = 0; at < ids.length; at += MAX_IDS) {
    const options = { timeoutMs: ASK_TIMEOUT_MS, signal }
    const part = await endpoint
      .call(node, censusMethod, ids.slice(at, at + MAX_IDS), options)
      .catch(() => undefined)
    if (part === undefined) return undefined
    total.primary += part.primary
    total.fallback += part.fallback
  }
  return total
}

function checkIds(ids: unknown): void {
  if (!Array.isArray(ids)) throw wrongType('ids', 'must be an array of names of records')
  for (const [at, id] of ids.entries()) {
    const { type, bucket, key, place }: Partial<Record<string, unknown>> = Object(id)
    checkText(`ids[${at}].type`, type, /./s, 'the name of a bucket type')
    checkBytes(`ids[${at}].bucket`, bucket, ANY_BYTES)
    checkBytes(`ids[${at}].key`, key, ANY_BYTES)
    if (place !== undefined) checkBytes(`ids[${at}].place`, place, ANY_BYTES)
  }
}

const ANY_BYTES = { min: 1, max: Number.MAX_SAFE_INTEGER }
