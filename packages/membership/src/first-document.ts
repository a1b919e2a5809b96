import { checkInteger, checkKnown, checkName, wrongRange } from '@atoll/core'
import {
  checkNodeName,
  checkZoneName,
  claim,
  createRing,
  MAX_REPLICAS,
  type Ring,
  replicaTable,
} from '@atoll/ring'
import type { ClusterDocument, Member } from './document.ts'
import { checkGeneration } from './generations.ts'
import { historyFrom } from './history.ts'
import { checkAddress, checkId } from './limits.ts'
import { zonesOf } from './zones.ts'

export interface FirstDocumentOptions {
  /** 1 to 64 characters of `a-z A-Z 0-9 . _ -`; different for every cluster there will ever be. */
  readonly clusterId: string
  /** At least one; all of them are valid members at once. */
  readonly members: readonly Omit<Member, 'state' | 'upState'>[]
  /** A power of two from 8 to 1024; default 64. */
  readonly partitions?: number | undefined
  /** Replicas that the claim keeps apart, 1 to 16; default 3. */
  readonly n?: number | undefined
  /** Length of the lists of replicas: the greatest n of a bucket type; from n to 16, default n. */
  readonly width?: number | undefined
  /** Who owns what, if that is known already; default is a claim of all partitions. */
  readonly owners?: Ring['owners'] | undefined
  readonly bucketTypes?: ReadonlyMap<string, Uint8Array> | undefined
}

const DEFAULT_PARTITIONS = 64
const DEFAULT_N = 3

/** The document that a cluster begins with. Throws `TypeError` or `RangeError` if anything is not as described. */
export function firstDocument(options: FirstDocumentOptions): ClusterDocument {
  const known = ['clusterId', 'members', 'partitions', 'n', 'width', 'owners', 'bucketTypes']
  checkKnown('first document', options, known)
  checkName('clusterId', options.clusterId)
  const partitions = options.partitions ?? DEFAULT_PARTITIONS
  const n = checkInteger('n', options.n ?? DEFAULT_N, { min: 1, max: MAX_REPLICAS })
  const width = checkInteger('width', options.width ?? n, { min: n, max: MAX_REPLICAS })
  const members = new Map(options.members.map((member) => [member.node, firstMember(member)]))
  const list = [...members.values()]
  const owners =
    options.owners ?? claim({ partitions, n, members: list.map(({ node, zone }) => ({ node, zone })) }).owners
  const stranger = owners.find((owner) => !members.has(owner))
  if (stranger !== undefined) throw wrongRange('owners', `must be members, got "${stranger}"`)
  const ring = createRing({ partitions, owners, zones: zonesOf(members) })
  return {
    clusterId: options.clusterId,
    epoch: 1,
    n,
    members,
    ring,
    resizedAt: 0,
    resizing: undefined,
    width,
    replicas: replicaTable(ring, width),
    grownAt: [],
    moves: [],
    refills: [],
    staged: [],
    bucketTypes: new Map(options.bucketTypes),
    forced: [],
    recent: [],
    // A cluster whose members tell of the lives of their data is begun by programs that know of histories, too.
    history: list.some(({ generation }) => generation !== undefined) ? historyFrom(1) : undefined,
  }
}

function firstMember({
  node,
  id,
  generation,
  address,
  zone,
}: FirstDocumentOptions['members'][number]): Member {
  return {
    ...(generation === undefined ? {} : { generation: checkGeneration(generation) }),
    node: checkNodeName('node', node),
    id: checkId(id),
    address: checkAddress(address),
    zone: zone === undefined ? undefined : checkZoneName(zone),
    state: 'valid',
  }
}
