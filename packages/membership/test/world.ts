import { isAtollError, toHex } from '@atoll/core'
import { createWorld, type SimLevel, type SimRuntime, type World } from '@atoll/sim'
import { MemoryNetwork, type MemoryNetworkOptions, RpcEndpoint } from '@atoll/transport'
import {
  type ClusterDocument,
  decodeDocument,
  exited,
  firstDocument,
  handed,
  isReady,
  Membership,
  type MembershipOptions,
  type MembershipStorage,
} from '../src/index.ts'
import { tellMethod } from '../src/methods.ts'

const BINARY = { keyEncoding: 'utf8', valueEncoding: 'view' } as const
/** On disk before it is said to be. */
const SYNCED = { ...BINARY, sync: true } as const

export function storageOf(database: SimLevel): MembershipStorage {
  return {
    get: (key) => database.get<string, Uint8Array>(key, BINARY),
    put: (key, value) => database.batch<string, Uint8Array>([{ type: 'put', key, value }], SYNCED),
  }
}

/** One simulated machine, which may crash and start again. */
class Machine {
  readonly name: string
  readonly #sea: Sea
  readonly #runtime: SimRuntime
  #life = 0
  #running: { database: SimLevel; endpoint: RpcEndpoint; membership: Membership } | undefined

  constructor(sea: Sea, name: string) {
    this.#sea = sea
    this.name = name
    this.#runtime = sea.world.runtime(name)
  }

  get runtime(): SimRuntime {
    return this.#runtime
  }

  get membership(): Membership | undefined {
    return this.#running?.membership
  }

  get document(): ClusterDocument | undefined {
    return this.#running?.membership.document
  }

  async start(): Promise<Membership> {
    const { world, network } = this.#sea
    const address = `${this.name}:1`
    network.restore(address)
    const database = world.disk(this.name).open()
    await database.open()
    const transport = network.transport(address)
    const addressOf = (node: string) => `${node}:1`
    const endpoint = new RpcEndpoint(this.#runtime, { transport, addressOf }, { node: this.name })
    const storage = storageOf(database)
    const options = { node: this.name, callTimeoutMs: 200, ...this.#sea.limits }
    const membership = new Membership(this.#runtime, { endpoint, storage }, options)
    membership.events.on('changed', (document) =>
      this.#sea.saw(document, membership.bytes ?? new Uint8Array()),
    )
    await endpoint.open()
    await membership.open()
    this.#running = { database, endpoint, membership }
    void this.#announce(++this.#life)
    void this.#drive(this.#life)
    return membership
  }

  async crash(): Promise<void> {
    const running = this.#running
    this.#running = undefined
    this.#life += 1
    this.#sea.network.cut(`${this.name}:1`)
    this.#sea.world.disk(this.name).crash()
    if (running === undefined) return
    await running.membership.close().catch(() => {})
    await running.endpoint.close().catch(() => {})
    await running.database.close().catch(() => {})
  }

  /** In place of gossip: tells another member what it knows, now and then. */
  async #announce(life: number): Promise<void> {
    const { clock, random } = this.#runtime
    for (;;) {
      await clock.sleep(50 + random.below(150))
      if (this.#life !== life || this.#sea.over) return
      const { endpoint, membership } = this.#running ?? {}
      const bytes = membership?.bytes
      const peers = [...(membership?.document?.members.keys() ?? [])].filter((node) => node !== this.name)
      const peer = peers[random.below(Math.max(1, peers.length))]
      if (endpoint === undefined || bytes === undefined || peer === undefined) continue
      await endpoint.call(peer, tellMethod, { bytes }, { timeoutMs: 200 }).catch(() => {})
    }
  }

  /** In place of handoff: says at once that it has handed over what it has to. */
  async #drive(life: number): Promise<void> {
    const { clock, random } = this.#runtime
    for (;;) {
      await clock.sleep(100 + random.below(300))
      if (this.#life !== life || this.#sea.over) return
      await this.membership
        ?.propose((document) => this.#progress(document), { timeoutMs: 1500 })
        .catch(expectAtoll)
    }
  }

  #progress(document: ClusterDocument): ClusterDocument {
    const { name } = this
    const mine = document.moves.filter((move) => {
      const isSource = move.kind === 'add' ? move.waiting.includes(name) : move.from === name
      return isSource && isReady(document, move)
    })
    const parts = new Map(mine.map((move) => [move.partition, move] as const))
    if (parts.size > 0) return handed(document, name, [...parts.values()])
    return document.members.get(name)?.state === 'exiting' ? exited(document, name) : document
  }
}

export function expectAtoll(error: unknown): undefined {
  if (!isAtollError(error)) throw error
  return undefined
}

interface SeaOptions {
  readonly network?: MemoryNetworkOptions
  readonly limits?: Pick<MembershipOptions, 'maxRounds'>
}

/** A simulated network of machines, which notes every document that counted on any of them. */
export class Sea {
  readonly world: World
  readonly network: MemoryNetwork
  readonly machines = new Map<string, Machine>()
  /** By epoch, the documents that were seen: one each if all is well. */
  readonly seen = new Map<number, Map<string, ClusterDocument>>()
  over = false

  readonly limits: Pick<MembershipOptions, 'maxRounds'>

  constructor(seed: number, options: SeaOptions = {}) {
    this.limits = options.limits ?? {}
    this.world = createWorld({ seed })
    const conditions = { delayMs: { min: 1, max: 10 }, ...options.network }
    this.network = new MemoryNetwork(this.world.runtime('network'), conditions)
  }

  saw(document: ClusterDocument, bytes: Uint8Array): void {
    const ofEpoch = this.seen.get(document.epoch) ?? new Map<string, ClusterDocument>()
    this.seen.set(document.epoch, ofEpoch)
    const hex = toHex(bytes)
    if (!ofEpoch.has(hex)) ofEpoch.set(hex, decodeDocument(bytes))
  }

  /** Epochs of which there is more than one document. */
  get conflicts(): readonly number[] {
    return [...this.seen].filter(([, documents]) => documents.size > 1).map(([epoch]) => epoch)
  }

  /** Lets nothing pass between these machines, or nothing one way, until the network heals. */
  split(
    groupA: readonly string[],
    groupB: readonly string[],
    options: { readonly oneWay?: boolean } = {},
  ): void {
    const addresses = (names: readonly string[]) => names.map((name) => `${name}:1`)
    this.network.partition(addresses(groupA), addresses(groupB), options)
  }

  machine(name: string): Machine {
    const machine = this.machines.get(name) ?? new Machine(this, name)
    this.machines.set(name, machine)
    return machine
  }

  member(name: string): Membership {
    const { membership } = this.machine(name)
    if (membership === undefined) throw new Error(`${name} does not run`)
    return membership
  }

  /** Starts these nodes as a cluster in which all are members. */
  async begin(nodes: readonly string[]): Promise<void> {
    const running = await Promise.all(nodes.map((node) => this.machine(node).start()))
    const members = nodes.map((node, at) => ({ node, id: running[at]?.id ?? '', address: `${node}:1` }))
    const document = firstDocument({ clusterId: 'sea', members, partitions: 8 })
    await Promise.all(running.map((membership) => membership.bootstrap(document)))
  }

  /** The machines that run and are members by what they know themselves. */
  get members(): readonly Membership[] {
    return [...this.machines.values()].flatMap(({ membership }) =>
      membership?.isMember === true ? [membership] : [],
    )
  }

  /** Waits until all running members have the same document; false if they do not in time. */
  async converge(timeoutMs = 30_000): Promise<boolean> {
    const untilMs = this.world.nowMs + timeoutMs
    const { clock } = this.world.runtime('test')
    while (this.world.nowMs < untilMs) {
      await clock.sleep(200)
      const documents = this.members.map(({ bytes }) => toHex(bytes ?? new Uint8Array()))
      if (new Set(documents).size === 1) return true
    }
    return false
  }

  async end(): Promise<void> {
    this.over = true
    await this.world.runtime('test').clock.sleep(3000)
    for (const machine of this.machines.values()) await machine.crash()
  }
}
