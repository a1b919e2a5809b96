import { type AtollError, fromUtf8, type Timer, utf8 } from '@atoll/core'
import { createWorld, type SimRuntime, type World } from '@atoll/sim'
import { type Connection, type Frame, MemoryNetwork, RpcEndpoint, type Transport } from '@atoll/transport'
import { type DocumentPort, Gossip, type GossipOptions } from '../src/index.ts'

/** A document in memory. */
export class Notebook implements DocumentPort {
  text = ''
  current = 0
  /** What `learn` is to do before it takes a version; it may throw. */
  check: (version: number, text: string) => void = () => {}

  version(): number {
    return this.current
  }

  read(): Uint8Array | undefined {
    return this.current === 0 ? undefined : utf8(this.text)
  }

  async learn(version: number, bytes: Uint8Array): Promise<void> {
    this.check(version, fromUtf8(bytes))
    this.write(version, fromUtf8(bytes))
  }

  write(version: number, text: string): void {
    this.current = version
    this.text = text
  }
}

/** What SIGSTOP does to a process: its timers and what arrives for it wait until it goes on. */
class Freezer {
  #frozen = false
  #held: (() => void)[] = []

  run(work: () => void): void {
    if (this.#frozen) this.#held.push(work)
    else work()
  }

  freeze(): void {
    this.#frozen = true
  }

  thaw(): void {
    this.#frozen = false
    for (const work of this.#held.splice(0)) work()
  }

  runtime(inner: SimRuntime): SimRuntime {
    const { clock } = inner
    const timer = (delayMs: number, fire: () => void): Timer => {
      let cancelled = false
      const real = clock.timer(delayMs, () => this.run(() => cancelled || fire()))
      return {
        cancel: () => {
          cancelled = true
          real.cancel()
        },
      }
    }
    const sleep = (delayMs: number) => new Promise<void>((resolve) => timer(delayMs, resolve))
    const frozen = { monotonicMs: () => clock.monotonicMs(), wallMs: () => clock.wallMs(), timer, sleep }
    return { ...inner, clock: frozen }
  }

  transport(inner: Transport): Transport {
    return {
      listen: (address, onConnection) =>
        inner.listen(address, (connection) => onConnection(new Freezable(connection, this))),
      connect: async (address, options) => new Freezable(await inner.connect(address, options), this),
    }
  }
}

class Freezable implements Connection {
  readonly peer: string
  readonly #inner: Connection
  readonly #freezer: Freezer

  constructor(inner: Connection, freezer: Freezer) {
    this.peer = inner.peer
    this.#inner = inner
    this.#freezer = freezer
  }

  set onFrame(onFrame: (frame: Frame) => void) {
    this.#inner.onFrame = (frame) => this.#freezer.run(() => onFrame(frame))
  }

  set onClose(onClose: (reason: Error | undefined) => void) {
    this.#inner.onClose = (reason) => this.#freezer.run(() => onClose(reason))
  }

  send(frame: Frame): Promise<void> | undefined {
    return this.#inner.send(frame)
  }

  close(reason?: AtollError): void {
    this.#inner.close(reason)
  }
}

export interface TestNode {
  readonly name: string
  readonly runtime: SimRuntime
  readonly notebook: Notebook
  readonly gossip: Gossip
  readonly endpoint: RpcEndpoint
  /** What gossip told: "up n2". */
  readonly told: string[]
  freeze(): void
  thaw(): void
}

/** Nodes that gossip over a network in memory, in a world of one seed. */
export class TestCluster {
  readonly world: World
  readonly network: MemoryNetwork
  readonly names: string[]
  readonly nodes = new Map<string, TestNode>()
  /** Nodes that end every connection which others make to them: they can ask, and cannot be asked. */
  readonly shut = new Set<string>()
  readonly #options: Omit<GossipOptions, 'node'>

  constructor(size: number, options: Omit<GossipOptions, 'node'> = {}, seed = 1) {
    this.world = createWorld({ seed })
    this.network = new MemoryNetwork(this.world.runtime('network'), { delayMs: { min: 1, max: 10 } })
    this.names = Array.from({ length: size }, (_, at) => `n${at + 1}`)
    this.#options = options
  }

  /** A process of that name begins; `notebook` is what it has on disk. */
  create(name: string, notebook = new Notebook()): TestNode {
    const freezer = new Freezer()
    const runtime = freezer.runtime(this.world.runtime(name))
    const transport = this.#shutting(name, freezer.transport(this.network.transport(name)))
    const endpoint = new RpcEndpoint(runtime, { transport, addressOf: (node) => node }, { node: name })
    const gossip = new Gossip(runtime, { endpoint, document: notebook }, { ...this.#options, node: name })
    gossip.setMembers(this.names)
    const told: string[] = []
    gossip.events.on('up', (node) => told.push(`up ${node}`))
    gossip.events.on('down', (node) => told.push(`down ${node}`))
    const node = { name, runtime, notebook, gossip, endpoint, told }
    const frozen = { ...node, freeze: () => freezer.freeze(), thaw: () => freezer.thaw() }
    this.nodes.set(name, frozen)
    return frozen
  }

  #shutting(name: string, inner: Transport): Transport {
    return {
      connect: (address, options) => inner.connect(address, options),
      listen: (address, onConnection) =>
        inner.listen(address, (connection) =>
          this.shut.has(name) ? connection.close() : onConnection(connection),
        ),
    }
  }

  async start(name: string, notebook?: Notebook): Promise<TestNode> {
    this.network.restore(name)
    const node = this.create(name, notebook)
    await node.endpoint.open()
    await node.gossip.open()
    return node
  }

  async startAll(): Promise<TestNode[]> {
    return await Promise.all(this.names.map((name) => this.start(name)))
  }

  /** kill -9: the connections break, and nobody listens. */
  async kill(name: string): Promise<void> {
    this.network.cut(name)
    const node = this.node(name)
    this.nodes.delete(name)
    await node.gossip.close()
    await node.endpoint.close()
  }

  node(name: string): TestNode {
    const node = this.nodes.get(name)
    if (node === undefined) throw new Error(`${name} does not run`)
    return node
  }

  sleep(ms: number): Promise<void> {
    return this.world.runtime('test').clock.sleep(ms)
  }

  /** Waits until it is so; answers how long that took. */
  async until(what: string, holds: () => boolean, maxMs: number): Promise<number> {
    const startMs = this.world.nowMs
    while (!holds()) {
      if (this.world.nowMs - startMs > maxMs) throw new Error(`not within ${maxMs} ms: ${what}`)
      await this.sleep(10)
    }
    return this.world.nowMs - startMs
  }

  /** Whether all others see the node so. */
  others(name: string, holds: (gossip: Gossip) => boolean): boolean {
    return [...this.nodes.values()].every((node) => node.name === name || holds(node.gossip))
  }

  async close(): Promise<void> {
    for (const { gossip, endpoint } of this.nodes.values()) {
      await gossip.close()
      await endpoint.close()
    }
  }

  run<T>(main: () => Promise<T>): Promise<T> {
    return this.world.run(async () => {
      try {
        return await main()
      } finally {
        await this.close()
      }
    })
  }
}
