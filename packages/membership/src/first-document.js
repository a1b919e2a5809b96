import { checkInteger, checkKnown, checkText } from '@atoll/core'
import { claim, createRing, MAX_REPLICAS, replicaTable } from '@atoll/ring'
import { checkAddress, checkId, checkName } from './limits.js'
import { zonesOf } from './zones.js'

const DEFAULT_PARTITIONS = 64
const DEFAULT_N = 3
/** The document that a cluster begins with. Throws `TypeError` or `RangeError` if anything is not as described. */
export function firstDocument(options) {
  const known = ['clusterId', 'members', 'partitions', 'n', 'width', 'owners', 'bucketTypes']
  checkKnown('first document', options, known)
  checkText(
    'clusterId',
    options.clusterId,
    /^[a-zA-Z0-9._-]{1,64}$/,
    '1 to 64 characters of a-z A-Z 0-9 . _ -',
  )
  const partitions = options.partitions ?? DEFAULT_PARTITIONS
  const n = checkInteger('n', options.n ?? DEFAULT_N, { min: 1, max: MAX_REPLICAS })
  const width = checkInteger('width', options.width ?? n, { min: n, max: MAX_REPLICAS })
  const members = new Map(options.members.map((member) => [member.node, firstMember(member)]))
  const list = [...members.values()]
  const owners =
    options.owners ?? claim({ partitions, n, members: list.map(({ node, zone }) => ({ node, zone })) }).owners
  const stranger = owners.find((owner) => !members.has(owner))
  if (stranger !== undefined) throw new RangeError(`owners must be members, got "${stranger}"`)
  const ring = createRing({ partitions, owners, zones: zonesOf(members) })
  return {
    clusterId: options.clusterId,
    epoch: 1,
    n,
    members,
    ring,
    width,
    replicas: replicaTable(ring, width),
    moves: [],
    refills: [],
    staged: [],
    bucketTypes: new Map(options.bucketTypes),
    forced: [],
    recent: [],
  }
}
function firstMember({ node, id, address, zone }) {
  return {
    node: checkName('node', node),
    id: checkId(id),
    address: checkAddress(address),
    zone: zone === undefined ? undefined : checkName('zone', zone),
    state: 'valid',
  }
}
//# sourceMappingURL=first-document.js.map
