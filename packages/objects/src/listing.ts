import { decodeWith, toHex } from '@atoll/core'
import { abortable } from './abort.ts'
import type { Bucket } from './bucket-knowledge.ts'
import { type Summary, summaryCodec } from './codec.ts'
import { corrupt } from './corrupt.ts'
import { comparePlaces } from './history.ts'
import { LIST_INDEX } from './kv-types.ts'
import { ListWalk } from './list-walk.ts'
import type { KvStore, KvStoreScan } from './ports.ts'
import { readQuorumOf } from './quorums.ts'
import type { CallOptions, ListOptions } from './requests.ts'

/** An object as a listing shows it. */
export interface ListedObject {
  readonly key: string
  readonly size: number
  /** MD5 of the body, 32 hexadecimal digits. */
  readonly etag: string
  readonly lastModifiedMs: number
}

export interface ObjectPage {
  /** In the order of the bytes of their keys. */
  readonly objects: readonly ListedObject[]
  /** Common prefixes, in the same order; only with a delimiter. */
  readonly prefixes: readonly string[]
  /** `after` of the next page; undefined after the last. */
  readonly next: string | undefined
}

/** What a page shows, and the keys among that of which several versions lie beside each other. */
export interface Listed {
  readonly page: ObjectPage
  readonly torn: readonly string[]
}

export async function listObjects(
  kv: KvStore,
  { objects: type, place: scope }: Bucket,
  options: ListOptions,
): Promise<Listed> {
  const place = { type: type.manifests, scope }
  const walk = await walkIndex(kv, place, options)
  const torn = walk.entries.flatMap(({ name, payloads }) => (payloads.length > 1 ? [name] : []))
  const objects = walk.entries.map(({ name, payloads }) => listed(name, latest(payloads)))
  return { page: { objects, prefixes: walk.prefixes, next: walk.next }, torn }
}

/** Walks over one page of the index `list`. */
export async function walkIndex(
  kv: KvStore,
  place: Pick<KvStoreScan, 'type' | 'scope'>,
  options: ListOptions & CallOptions,
): Promise<ListWalk> {
  const { prefix = '', delimiter, after, limit = 1000, signal } = options
  const asked = { ...readQuorumOf(options), signal }
  const walk = new ListWalk({ prefix, delimiter, after, limit })
  for (let scan = walk.scan; scan !== undefined; scan = walk.scan)
    walk.take(await abortable(signal, kv.scan({ ...place, ...scan, index: LIST_INDEX }, asked)))
  return walk
}

/** Of versions that were written without knowing of each other, the one that is visible. */
function latest(payloads: readonly Uint8Array[]): Summary {
  let best: Summary | undefined
  for (const payload of payloads) {
    const other = decodeWith(summaryCodec, payload)
    if (best === undefined || comparePlaces(other, best) > 0) best = other
  }
  if (best === undefined) throw corrupt('an index entry says nothing')
  return best
}

function listed(key: string, { size, md5, modifiedMs }: Summary): ListedObject {
  return { key, size, etag: toHex(md5), lastModifiedMs: modifiedMs }
}
