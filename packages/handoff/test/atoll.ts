import type { StoredRecord } from '@atoll/causality'
import { AtollError, type KeyId } from '@atoll/core'
import { type Ownership, ownerOfFiled, serveVnodes, VnodeReplicas, type VnodeTarget } from '@atoll/replicas'
import { createWorld, type SimDisk, type SimRuntime, type World } from '@atoll/sim'
import { MemoryNetwork, RpcEndpoint } from '@atoll/transport'
import { type Database, type HandoffVnode, type PutRequest, VnodeHost, WRITE_IDS } from '@atoll/vnode'
import { expectCounts } from '../../vnode/test/counts.ts'
import { content, policyOf, valuesOf, write } from '../../vnode/test/world.ts'
import { type HandoffOptions, Handoffs } from '../src/index.ts'
import type { OfferRequest } from '../src/protocol.ts'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const

export const PARTITIONS = 8
export const CALL = { timeoutMs: 400 }

/** Who owns what, as of an epoch. */
export interface Document {
  readonly epoch: number
  readonly owners: readonly string[]
}

/** Counts down to a crash. */
export interface Fuse {
  left: number
  readonly blow: () => void
}

export interface AtollOptions {
  readonly seed?: number
  /** Nodes of a build that does not tell writes of one dot apart, and can read no message that speaks of it. */
  readonly before?: readonly string[]
  readonly handoff?: HandoffOptions
}

/** A few nodes in a simulated world, each of which may crash and start again with what is on its disk. */
export class Atoll {
  readonly world: World
  readonly network: MemoryNetwork
  readonly nodes = new Map<string, Island>()
  readonly options: AtollOptions
  /** Whose vnode took each write of a client, in the order in which they were answered. */
  readonly accepted: string[] = []

  constructor(names: readonly string[], document: Document, options: AtollOptions = {}) {
    this.options = options
    this.world = createWorld({ seed: options.seed ?? 1 })
    this.network = new MemoryNetwork(this.world.runtime('network'), { delayMs: { min: 0, max: 2 } })
    for (const name of names) this.nodes.set(name, new Island(this, name, document))
  }

  /** Opens all nodes, does the work, closes them. */
  run(work: (atoll: Atoll) => Promise<void>): Promise<void> {
    return this.world.run(async () => {
      for (const node of this.nodes.values()) await node.start()
      await work(this)
      for (const node of this.nodes.values()) await node.stop()
    })
  }

  node(name: string): Island {
    return this.nodes.get(name)!
  }

  decide(document: Document, names: Iterable<string> = this.nodes.keys()): void {
    for (const name of names) this.node(name).document = document
  }

  sleep(delayMs: number): Promise<void> {
    return this.world.runtime('test').clock.sleep(delayMs)
  }
}

export class Island {
  readonly name: string
  readonly runtime: SimRuntime
  readonly disk: SimDisk
  document: Document
  database!: Database
  host!: VnodeHost
  endpoint!: RpcEndpoint
  handoffs!: Handoffs
  replicas!: VnodeReplicas
  /** Blows at an operation of the disk. */
  fuse: Fuse | undefined
  /** Batches that are on the disk are answered when this has resolved. */
  syncing: Promise<void> = Promise.resolve()
  isUp = false
  /** The largest record that the node takes. */
  recordBytes: number | undefined
  readonly #atoll: Atoll

  constructor(atoll: Atoll, name: string, document: Document) {
    this.#atoll = atoll
    this.name = name
    this.document = document
    this.runtime = atoll.world.runtime(name)
    this.disk = atoll.world.disk(name)
  }

  get ownership(): Ownership {
    const { epoch, owners } = this.document
    return { epoch, ownerOf: (partition) => owners[partition]! }
  }

  async start(): Promise<void> {
    const { runtime, name } = this
    const database = fused(this.disk.open(), this)
    this.database = database
    const limits = this.recordBytes === undefined ? {} : { recordBytes: this.recordBytes }
    // Values lie apart from their heads, or with them.
    const inlineBytes = (this.#atoll.options.seed ?? 1) % 2 === 0 ? 16_384 : 1
    const options = { node: name, partitions: PARTITIONS, inlineBytes, ...limits }
    this.host = new VnodeHost(runtime, { database, policyOf }, options)
    await this.host.open()
    this.#watchAccepted()
    const transport = this.#atoll.network.transport(name)
    const isBefore = this.#atoll.options.before?.includes(name) === true
    const capabilities = isBefore ? [] : [WRITE_IDS]
    const collaborators = { transport, addressOf: (node: string) => node }
    this.endpoint = new RpcEndpoint(runtime, collaborators, { node: name, capabilities })
    if (isBefore) readOnlyBefore(this.endpoint)
    const ownership = () => this.ownership
    const { host, endpoint } = this
    serveVnodes(endpoint, host, { ownership })
    const isOwn = (partition: number) => ownerOfFiled(partition, host.filed, ownership()) === name
    this.handoffs = new Handoffs(runtime, { host, endpoint, isOwn }, this.#atoll.options.handoff)
    this.replicas = new VnodeReplicas({ node: name, host, endpoint, ownership })
    await this.handoffs.open()
    this.#atoll.network.restore(name)
    await endpoint.open()
    this.isUp = true
  }

  /** Everything that is on the disk, by key. */
  async keys(): Promise<readonly string[]> {
    const rows = await this.database.keys({ ...VIEW, gte: new Uint8Array() }).nextv(this.disk.entries)
    return rows.map((key) => Buffer.from(key).toString('latin1'))
  }

  async stop(): Promise<void> {
    await this.handoffs.close()
    await this.endpoint.close()
    await this.host.counted
    await expectCounts(this.host, this.name)
    await this.host.close()
  }

  /** The power fails, and comes back after a while. */
  async crash(downMs = 20): Promise<void> {
    this.isUp = false
    this.disk.crash()
    this.#atoll.network.cut(this.name)
    const { handoffs, endpoint, host } = this
    await Promise.allSettled([handoffs.close(), endpoint.close(), host.close()])
    await this.#atoll.sleep(downMs)
    await this.start()
  }

  /** A client's write through this node. Resolves with the record if it is acknowledged. */
  async write(target: VnodeTarget, id: KeyId, text: string, more: Parameters<typeof content>[1] = {}) {
    const { partition: _, id: __, ...rest } = write(id, content(text, more))
    const { record } = await this.replicas.coordinate(target, id, rest, CALL)
    return record
  }

  async read(target: VnodeTarget, id: KeyId): Promise<StoredRecord | undefined> {
    return (await this.replicas.get(target, id, CALL)).record
  }

  async values(target: VnodeTarget, id: KeyId): Promise<string[]> {
    return valuesOf(await this.read(target, id))
  }

  #watchAccepted(): void {
    const { host, name } = this
    const coordinate = host.coordinate.bind(host)
    host.coordinate = async (request) => {
      const reply = await coordinate(request)
      this.#atoll.accepted.push(name)
      return reply
    }
  }
}

/** Alters every vnode that handoffs of a node get to see. */
export function alter({ host }: Island, how: (vnode: HandoffVnode) => Partial<HandoffVnode>): void {
  const handoffOf = host.handoffOf.bind(host)
  host.handoffOf = (partition) => {
    const vnode = handoffOf(partition)
    return Object.assign(vnode, how(vnode))
  }
}

/** What the driver of a node does: again until it succeeds, whatever happens to the node meanwhile. */
export async function insist(atoll: Atoll, island: Island, work: () => Promise<unknown>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      if (island.isUp) return void (await work())
    } catch (error) {
      if (tries >= MAX_TRIES) throw error
    }
    await atoll.sleep(5)
  }
}

const MAX_TRIES = 200

/** Its handlers are given no request that a build of before would not have read to its end. */
function readOnlyBefore(endpoint: RpcEndpoint): void {
  const handle = endpoint.handle.bind(endpoint)
  endpoint.handle = (method, handler) => {
    const decode: typeof method.request.decode = (reader, body) => {
      const request = method.request.decode(reader, body)
      const { tellTwice, entries = [] }: Partial<PutRequest & OfferRequest> = Object(request)
      if (tellTwice !== undefined || entries.some(({ writes }) => writes !== undefined))
        throw new AtollError('ATOLL_CORRUPT', 'a tuple has more fields than were read')
      return request
    }
    handle({ ...method, request: { ...method.request, decode } }, handler)
  }
}

/** Counts operations of the disk down, and lets the power fail at the last. */
function fused(database: Database, island: Island): Database {
  const burn = () => {
    const { fuse } = island
    if (fuse === undefined || --fuse.left > 0) return
    island.fuse = undefined
    fuse.blow()
  }
  const counted = ['batch', 'get', 'iterator', 'keys', 'clear']
  return new Proxy(database, {
    get: (target, name) => {
      const value = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        if (counted.includes(String(name))) burn()
        const { syncing } = island
        const done = value.apply(target, args)
        return name === 'batch' ? Promise.all([done, syncing]).then(() => {}) : done
      }
    },
  })
}

export const OWNED_BY_N1: Document = { epoch: 1, owners: new Array(PARTITIONS).fill('n1') }

/** The document after partition 1 has moved to n2. */
export const MOVED: Document = {
  epoch: 2,
  owners: OWNED_BY_N1.owners.map((owner, at) => (at === 1 ? 'n2' : owner)),
}
