import {
  AtollError,
  decodeWith,
  fromUtf8,
  isAtollError,
  type Runtime,
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

const BINARY = { keyEncoding: 'view', valueEncoding: 'view' } as const

/** The durable notes of a node about its cluster: the sublevel `cluster` of its database, each write synced. */
export class ClusterStorage {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** Throws `ATOLL_STORAGE`. */
  async get(name: string): Promise<Uint8Array | undefined> {
    try {
      return await this.#database.get(keyOf(name), BINARY)
    } catch (cause) {
      throw failed('read', cause)
    }
  }

  /** Resolves when the value is on disk. Throws `ATOLL_STORAGE`. */
  put(name: string, value: Uint8Array): Promise<void> {
    return this.#write([{ type: 'put', key: keyOf(name), value }])
  }

  delete(name: string): Promise<void> {
    return this.#write([{ type: 'del', key: keyOf(name) }])
  }

  /** The id of the data: kept from its first use, which is `given` or else random. */
  async nodeId({ random }: Pick<Runtime, 'random'>, given?: string): Promise<string> {
    const stored = await this.get(NODE_ID)
    if (stored !== undefined) return fromUtf8(stored)
    const id = given ?? toHex(random.bytes(NODE_ID_BYTES))
    await this.put(NODE_ID, utf8(id))
    return id
  }

  async #write(operations: Parameters<Database['batch']>[0]): Promise<void> {
    try {
      await this.#database.batch(operations, { ...BINARY, sync: true })
    } catch (cause) {
      throw failed('write', cause)
    }
  }
}

function keyOf(name: string): Uint8Array {
  return utf8(`!cluster!${name}`)
}

function failed(what: string, cause: unknown): AtollError {
  if (isAtollError(cause)) return cause
  return new AtollError('ATOLL_STORAGE', `the database failed to ${what} what it notes of the cluster`, {
    cause,
  })
}

/** What version 0.1.0 noted: the members and their ring, fixed for ever. Read, and never written any more. */
export interface ClusterRecord {
  readonly clusterId: string
  readonly members: readonly NodeName[]
  readonly ring: Ring
}

export const CLUSTER_RECORD = 'record'

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
