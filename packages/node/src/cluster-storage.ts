import {
  AtollError,
  decodeWith,
  fromUtf8,
  isAtollError,
  type Runtime,
  storageFailure,
  type TupleCodec,
  toHex,
  utf8,
} from '@atoll/core'
import { decodeRing, type NodeName, type Ring, type Sha1 } from '@atoll/ring'
import type { Database } from '@atoll/vnode'

/** Where the newest document is kept, and the id of the data. */
export const DOCUMENT = 'document'
const NODE_ID = 'id'
const NODE_ID_BYTES = 8
const CLUSTER_RECORD = 'record'

const BINARY = { keyEncoding: 'view', valueEncoding: 'view' } as const

type Crc32 = Runtime['digest']['crc32']

/**
 * The durable notes of a node about its cluster: the sublevel `cluster` of its database, each write synced. Behind every
 * value stands its checksum: a document or a vote that the disk has changed would be believed by the whole cluster.
 */
export class ClusterStorage {
  readonly #database: Database
  readonly #crc32: Crc32

  constructor(database: Database, { crc32 }: Runtime['digest']) {
    this.#database = database
    this.#crc32 = crc32
  }

  /** Throws `ATOLL_STORAGE`, or `ATOLL_CORRUPT` for a value that is not the one that was put. */
  async get(name: string): Promise<Uint8Array | undefined> {
    const stored = await this.#read(name)
    return stored === undefined ? undefined : unseal(name, stored, this.#crc32)
  }

  /** The note of version 0.1.0, which has no checksum. Throws `ATOLL_STORAGE`. */
  legacyRecord(): Promise<Uint8Array | undefined> {
    return this.#read(CLUSTER_RECORD)
  }

  /** Resolves when the value is on disk. Throws `ATOLL_STORAGE`. */
  async put(name: string, value: Uint8Array): Promise<void> {
    const operation = { type: 'put', key: keyOf(name), value: seal(name, value, this.#crc32) } as const
    try {
      await this.#database.batch([operation], { ...BINARY, sync: true, tellsReplaced: true })
    } catch (cause) {
      throw failed('write', cause)
    }
  }

  /** The id of the data; undefined while it has none. Throws `ATOLL_STORAGE`, `ATOLL_CORRUPT`. */
  async storedId(): Promise<string | undefined> {
    const stored = await this.get(NODE_ID)
    return stored && fromUtf8(stored)
  }

  /** The id of the data: kept from its first use, which is `given` or else random. */
  async nodeId({ random }: Pick<Runtime, 'random'>, given?: string): Promise<string> {
    const stored = await this.storedId()
    if (stored !== undefined) return stored
    const id = given ?? toHex(random.bytes(NODE_ID_BYTES))
    await this.put(NODE_ID, utf8(id))
    return id
  }

  async #read(name: string): Promise<Uint8Array | undefined> {
    try {
      return await this.#database.get(keyOf(name), BINARY)
    } catch (cause) {
      throw failed('read', cause)
    }
  }
}

function keyOf(name: string): Uint8Array {
  return utf8(`!cluster!${name}`)
}

const CRC_BYTES = 4

/** The name is in the sum, so that a value which the disk answers for another one is not believed. */
function checksum(name: string, value: Uint8Array, crc32: Crc32): number {
  return crc32(value, crc32(utf8(name)))
}

function seal(name: string, value: Uint8Array, crc32: Crc32): Uint8Array {
  const sealed = new Uint8Array(value.length + CRC_BYTES)
  sealed.set(value)
  new DataView(sealed.buffer).setUint32(value.length, checksum(name, value, crc32))
  return sealed
}

function unseal(name: string, sealed: Uint8Array, crc32: Crc32): Uint8Array {
  const end = sealed.length - CRC_BYTES
  if (end >= 0) {
    const value = sealed.slice(0, end)
    const expected = new DataView(sealed.buffer, sealed.byteOffset + end).getUint32(0)
    if (checksum(name, value, crc32) === expected) return value
  }
  throw new AtollError('ATOLL_CORRUPT', `what the database notes of the cluster is damaged: ${name}`)
}

function failed(what: string, cause: unknown): AtollError {
  if (isAtollError(cause)) return cause
  return storageFailure(`the database failed to ${what} what it notes of the cluster`, cause)
}

/** What version 0.1.0 noted: the members and their ring, fixed for ever. Read, and never written any more. */
export interface ClusterRecord {
  readonly clusterId: string
  readonly members: readonly NodeName[]
  readonly ring: Ring
}

const clusterRecordCodec: TupleCodec<ClusterRecord> = {
  name: 'cluster record',
  version: 1,
  encode: () => {
    throw new TypeError('a cluster record is not written any more')
  },
  decode: (reader) => ({
    clusterId: reader.string(),
    members: reader.list((member) => member.string()),
    ring: decodeRing(reader.bytes()),
  }),
}

export function decodeClusterRecord(bytes: Uint8Array): ClusterRecord {
  return decodeWith(clusterRecordCodec, bytes)
}

/** Members had no ids then; every node derives the same ones. */
export function legacyIdOf(clusterId: string, node: NodeName, sha1: Sha1): string {
  return toHex(sha1(utf8(`${clusterId}/${node}`)).subarray(0, 8))
}
