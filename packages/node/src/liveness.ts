import { Lifecycle, type Runtime } from '@atoll/core'
import type { Method, RpcEndpoint } from '@atoll/transport'
import { HEALTHY, type PeerEvent, type PeerHealth, stepPeer } from './peer-health.ts'

export interface LivenessOptions {
  readonly node: string
  readonly peers: readonly string[]
  /** Pause between heartbeats to a peer, in milliseconds; default 500. */
  readonly heartbeatMs: number
  /** How long a heartbeat may take, in milliseconds; default 500. */
  readonly heartbeatTimeoutMs: number
  /** Heartbeats missed in a row after which a peer counts as down; default 3. */
  readonly downAfterMisses: number
}

/** The heartbeat: nothing asked, nothing answered; it waits for no block, and tries a peer that others gave up on. */
const PING: Method<null, null> = {
  name: 'node.ping',
  urgent: true,
  request: { encode: () => ({ tuple: [] }), decode: () => null },
  response: { encode: () => ({ tuple: [] }), decode: () => null },
}

/** Watches the peers by heartbeats and by their connections. */
export class PeerLiveness extends Lifecycle {
  readonly label: string
  readonly #runtime: Runtime
  readonly #endpoint: RpcEndpoint
  readonly #options: LivenessOptions
  readonly #health = new Map<string, PeerHealth>()
  /** One for each peer: Node takes more than ten listeners on one signal for a leak. */
  #stops: readonly AbortController[] = []
  #watching: readonly Promise<void>[] = []

  constructor(runtime: Runtime, collaborators: { endpoint: RpcEndpoint }, options: LivenessOptions) {
    super()
    this.label = `liveness of ${options.node}`
    this.#runtime = runtime
    this.#endpoint = collaborators.endpoint
    this.#options = options
  }

  /** A node is up for itself, and a peer until it shows otherwise. */
  isUp(node: string): boolean {
    return this.#health.get(node)?.up ?? node === this.#options.node
  }

  /** Greets every peer once, so that a node that is open knows who is up, and the others know of it. */
  protected async onOpen(): Promise<void> {
    this.#endpoint.handle(PING, () => Promise.resolve(null))
    this.#endpoint.events.on('peer-connected', this.#onConnected)
    this.#endpoint.events.on('peer-disconnected', this.#onDisconnected)
    const { peers } = this.#options
    for (const peer of peers) this.#health.set(peer, HEALTHY)
    const watches = peers.map((peer) => ({ peer, stop: new AbortController() }))
    this.#stops = watches.map(({ stop }) => stop)
    await Promise.all(watches.map(({ peer, stop }) => this.#beat(peer, stop.signal)))
    this.#watching = watches.map(({ peer, stop }) => this.#watch(peer, stop.signal))
  }

  protected async onClose(): Promise<void> {
    for (const stop of this.#stops) stop.abort(new Error(`${this.label} is closed`))
    this.#endpoint.events.off('peer-connected', this.#onConnected)
    this.#endpoint.events.off('peer-disconnected', this.#onDisconnected)
    await Promise.all(this.#watching)
  }

  readonly #onConnected = (peer: string) => this.#step(peer, 'answered')
  readonly #onDisconnected = (peer: string) => this.#step(peer, 'disconnected')

  async #watch(peer: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#runtime.clock.sleep(this.#options.heartbeatMs, { signal }).catch(() => {})
      if (!signal.aborted) await this.#beat(peer, signal)
    }
  }

  async #beat(peer: string, signal: AbortSignal): Promise<void> {
    const timeoutMs = this.#options.heartbeatTimeoutMs
    const answered = await this.#endpoint.call(peer, PING, null, { timeoutMs, signal }).then(
      () => true,
      () => false,
    )
    if (!signal.aborted) this.#step(peer, answered ? 'answered' : 'missed')
  }

  #step(peer: string, event: PeerEvent): void {
    const before = this.#health.get(peer)
    if (before === undefined) return
    const after = stepPeer(before, event, this.#options.downAfterMisses)
    this.#health.set(peer, after)
    if (before.up === after.up) return
    this.#runtime.metrics.count('node_peer_transitions_total', 1, { to: after.up ? 'up' : 'down' })
    this.#runtime.log.info(
      { node: this.#options.node, peer, event },
      after.up ? 'peer is up' : 'peer is down',
    )
  }
}
