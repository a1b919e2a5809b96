import { encodeRecord, mergeRecords, type StoredRecord } from '@atoll/causality'
import type { BucketProperties, Replicas } from '@atoll/coordinator'
import {
  AtollError,
  compareBytes,
  groupOf,
  isAtollError,
  type KeyId,
  type TermGroups,
  toHex,
} from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import { MANIFESTS_TYPE } from '@atoll/objects'
import type { VnodeHost } from '@atoll/vnode'
import { passing } from './mutants.ts'
import { nameOf } from './names.ts'

type Types = Readonly<Record<string, Partial<BucketProperties>>>

export function believingAnybody(types: Types): Types {
  return Object.fromEntries(Object.entries(types).map(([name, type]) => [name, { ...type, absence: 'any' }]))
}

/** The same of objects alone, so that nothing but what objects are held to can tell. */
export function believingAnybodyOfObjects(types: Types): Types {
  return { ...types, [MANIFESTS_TYPE]: { ...types[MANIFESTS_TYPE], absence: 'any' } }
}

export function takingSilenceForDamage(replicas: Replicas): Replicas {
  return {
    ...passing(replicas),
    get: (...request) =>
      replicas.get(...request).catch((error: unknown) => {
        if (!isAtollError(error, 'ATOLL_UNREACHABLE')) throw error
        return { record: undefined, corrupt: true }
      }),
  }
}

export function writingBlindly(replicas: Replicas): Replicas {
  return {
    ...passing(replicas),
    put: (target, id, record, options) => replicas.put(target, id, record, { ...options, isFresh: true }),
  }
}

/** Replicas that a type has just got count as if they were filled. */
export function countingAllAtOnce({ bucketTypes }: AtollNode): void {
  bucketTypes.filled = (type) => bucketTypes.get(type).n
}

/** A client's write makes no larger record here: what it may be is asked of merges alone. */
const MOST_BYTES = 700

export function refusingLargeMerges(host: VnodeHost): void {
  const check = async (partition: number, id: KeyId, record: StoredRecord) => {
    const { record: held } = await host.get({ partition, id })
    const merged = held === undefined ? record : mergeRecords(host.policyOf(id.type), held, record)
    const { head, body } = encodeRecord(merged)
    if (merged === held || merged.siblings.length < 2 || head.length + body.length <= MOST_BYTES) return
    throw new AtollError('ATOLL_TOO_LARGE', 'the merged record would be too large')
  }
  const put = host.put.bind(host)
  host.put = async (request, options) => {
    await check(request.partition, request.id, request.record)
    return put(request, options)
  }
  const handoffOf = host.handoffOf.bind(host)
  host.handoffOf = (partition) => {
    const vnode = handoffOf(partition)
    const merge = vnode.merge.bind(vnode)
    return Object.assign(vnode, {
      merge: async (id: KeyId, record: StoredRecord) => {
        await check(partition, id, record)
        return merge(id, record)
      },
    })
  }
}

/** What was written since does not show in digests: whoever remembers a record is told that it is as it was. */
export function freezingDigests(host: VnodeHost): void {
  const known = new Map<string, Uint8Array>()
  const get = host.get.bind(host)
  host.get = async (request) => {
    if (!request.digestOnly) return get(request)
    const name = `${request.partition} ${nameOf(request.id)}`
    const digest = known.get(name)
    if (digest !== undefined) return { record: undefined, corrupt: false, digest }
    const reply = await get(request)
    if (reply.digest !== undefined) known.set(name, reply.digest)
    return reply
  }
}

/** A folder is there only as long as the first object that anybody has seen in it. */
export function judgingFoldersByTheirFirst(): (replicas: Replicas) => Replicas {
  const firsts = new Map<string, Uint8Array>()
  const isJudged = (term: Uint8Array, groups: TermGroups) => {
    const group = groupOf(term, groups)
    if (group === undefined) return true
    const first = firsts.get(toHex(group)) ?? term
    if (compareBytes(term, first) > 0) return false
    firsts.set(toHex(group), term)
    return true
  }
  return (replicas) => ({
    ...passing(replicas),
    scan: async (node, request, options) => {
      const page = await replicas.scan(node, request, options)
      const { groups } = request
      if (groups === undefined) return page
      return { ...page, entries: page.entries.filter(({ term }) => isJudged(term, groups)) }
    },
  })
}
