import {
  AtollError,
  assert,
  attempt,
  Lifecycle,
  MAX_DELAY_MS,
  type Runtime,
  shielded,
  wrongRange,
} from '@atoll/core'
import { EventEmitter } from 'eventemitter3'
import type { Admits } from './admission.ts'
import { Backoff } from './backoff.ts'
import type { ByteStream } from './byte-stream.ts'
import { ClientLink, type ClientLinkParts, type Introduced, type StreamOptions } from './client-link.ts'
import { Deadlines } from './deadlines.ts'
import { HandlerSlots } from './handler-slots.ts'
import type { IdentityPort } from './identity.ts'
import type { Method, StreamMethod } from './method.ts'
import { Mismatches } from './mismatches.ts'
import { type RpcOptions, validateRpcOptions } from './options.ts'
import { Peers } from './peers.ts'
import { PendingCall, type RpcCallOptions } from './pending-call.ts'
import type { Connection, Listener, Transport } from './ports.ts'
import { type CallHandler, type ServeCall, serveCall } from './server-call.ts'
import { ServerLink } from './server-link.ts'
import { type ServeStream, type StreamHandler, serveStream } from './server-stream.ts'

export interface RpcEvents {
  /** The first connection with this node stands, in whichever direction. */
  'peer-connected': (node: string) => void
  /** The last one is gone. */
  'peer-disconnected': (node: string) => void
  /** No connection with this node could be made. */
  'peer-unreached': (node: string) => void
  /** One of the two is not what its name stands for to the other. */
  'peer-mismatched': (node: string, reason: AtollError) => void
}

export interface RpcCollaborators {
  readonly transport: Transport
  /**
   * Where a node listens, this one included. Asked for every connection that is made, so the answer may change. Throws for a
   * node that it does not know.
   */
  readonly addressOf: (node: string) => string
  /** Which methods a node may call; default all that are handled. */
  readonly admits?: Admits
  /** Who this node is, and who the others are to it; without it, names are all that counts. */
  readonly identity?: IdentityPort | undefined
}

/** What somebody at an address answered. */
export interface Visit<Response> extends Introduced {
  readonly answer: Response
}

interface Unreached {
  readonly backoff: Backoff
  readonly reason: AtollError
}

/**
 * Calls and byte streams between nodes. One connection per called node, made when it is first needed and shared by all
 * calls to it; the other node's calls come over its own.
 */
export class RpcEndpoint extends Lifecycle {
  readonly label: string
  readonly events = new EventEmitter<RpcEvents>()
  readonly #runtime: Runtime
  readonly #collaborators: RpcCollaborators
  readonly #options: Required<RpcOptions>
  readonly #deadlines: Deadlines
  readonly #slots: HandlerSlots
  readonly #calls = new Map<string, ServeCall>()
  readonly #streams = new Map<string, ServeStream>()
  readonly #clients = new Map<string, ClientLink>()
  readonly #servers = new Set<ServerLink>()
  /** The nodes that could not be reached when last tried, and why. */
  readonly #unreached = new Map<string, Unreached>()
  readonly #peers = new Peers()
  readonly #mismatches: Mismatches
  readonly #openToStrangers = new Set<string>()
  /** Connections to addresses, each for one call. */
  readonly #visits = new Set<ClientLink>()
  #listener: Listener | undefined

  /** Throws `TypeError` or `RangeError` for invalid options. */
  constructor(runtime: Runtime, collaborators: RpcCollaborators, options: RpcOptions) {
    super()
    this.#runtime = shielded(runtime)
    this.#collaborators = collaborators
    this.#options = validateRpcOptions(options)
    this.label = `rpc endpoint ${options.node}`
    this.#deadlines = new Deadlines(runtime.clock)
    this.#mismatches = new Mismatches(runtime, options.node)
    this.#slots = new HandlerSlots(this.#options.maxConcurrentHandlers)
  }

  /** The names of the nodes that a connection stands with now. */
  get peers(): readonly string[] {
    return this.#peers.names
  }

  /**
   * Where this node listens, as the transport says it: with the port that was taken if it was asked for any.
   * `ATOLL_CLOSED` unless open.
   */
  get address(): string {
    this.assertOpen()
    assert(this.#listener !== undefined, `${this.label} listens while it is open`)
    return this.#listener.address
  }

  /** What a node said in its handshake that it can do; undefined unless a connection with it stands now. */
  capabilitiesOf(node: string): ReadonlySet<string> | undefined {
    return this.#peers.capabilitiesOf(node)
  }

  /** Serves a method until the endpoint closes. */
  handle<Request, Response, Progress = never>(
    method: Method<Request, Response, Progress>,
    handler: CallHandler<Request, Response, Progress>,
  ): void {
    assert(!this.#calls.has(method.name), `${method.name} has one handler`)
    this.#calls.set(method.name, serveCall(method, handler))
    if (method.openToStrangers === true) this.#openToStrangers.add(method.name)
  }

  /** Serves streams until the endpoint closes. */
  handleStream<Request>(method: StreamMethod<Request>, handler: StreamHandler<Request>): void {
    assert(!this.#streams.has(method.name), `${method.name} has one stream handler`)
    this.#streams.set(method.name, serveStream(method, handler))
  }

  /**
   * Asks another node, and resolves with its answer. Rejects with the handler's own `AtollError`, or with
   * `ATOLL_UNREACHABLE` (definite if nothing was sent; at once in the pause after a connection could not be made),
   * `ATOLL_TIMEOUT` (sent, no answer in time), `ATOLL_ABORTED` (cause: the signal's reason), `ATOLL_OVERLOADED`,
   * `ATOLL_TOO_LARGE`, `ATOLL_PROTOCOL` (another cluster or version, or a method that is not served),
   * `ATOLL_UNAUTHORIZED` (a name without proof), `ATOLL_CORRUPT` (an answer that cannot be read), `ATOLL_CLOSED`.
   */
  call<Request, Response, Progress = never>(
    node: string,
    method: Method<Request, Response, Progress>,
    request: Request,
    options: RpcCallOptions<Progress>,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const deadlineMs = this.#deadlineOf(node, method.name, options)
      this.#assertCallable(node)
      const { calls } = this.#linkTo(node, method.urgent)
      calls.submit(
        new PendingCall({ node, method, request, options, deadlineMs, carrier: calls, resolve, reject }),
      )
    })
  }

  /**
   * Asks whoever listens at an address, over a connection for this call alone. Rejects as `call` does; one that turns
   * out to be this node itself is `ATOLL_PROTOCOL` with `details.reason` "own-name".
   */
  async visit<Request, Response>(
    address: string,
    method: Method<Request, Response>,
    request: Request,
    options: RpcCallOptions,
  ): Promise<Visit<Response>> {
    this.assertOpen()
    const link = this.#visitTo(address)
    try {
      const answer = await new Promise<Response>((resolve, reject) => {
        const deadlineMs = this.#deadlineOf(address, method.name, options)
        const { calls: carrier } = link
        carrier.submit(
          new PendingCall({ node: address, method, request, options, deadlineMs, carrier, resolve, reject }),
        )
      })
      assert(link.peer !== undefined, 'whoever answers was introduced')
      return { ...link.peer, answer }
    } finally {
      link.close(
        new AtollError(
          'ATOLL_CLOSED',
          `the connection to ${address}, made to ask for its cluster, is closed`,
        ),
      )
    }
  }

  /** What the identity port says of peers may be different now. */
  judgeAnew(): void {
    for (const link of [...this.#clients.values(), ...this.#servers]) link.judgeAnew()
  }

  /** This node is not any more what it has said of itself: it calls others anew, and says so. */
  introduceAnew(): void {
    const reason = new AtollError('ATOLL_UNREACHABLE', `${this.label} introduces itself anew`)
    for (const link of [...this.#clients.values()]) link.close(reason)
  }

  /**
   * Opens a byte stream to another node; resolves when the connection stands. The node may still refuse the stream, which
   * then fails. Rejects as `call` does before anything is sent.
   */
  async openStream<Request>(
    node: string,
    method: StreamMethod<Request>,
    request: Request,
    options: StreamOptions = {},
  ): Promise<ByteStream> {
    this.#assertCallable(node)
    return this.#linkTo(node).openStream(method, request, options)
  }

  protected async onOpen(): Promise<void> {
    const { transport, addressOf } = this.#collaborators
    const address = addressOf(this.#options.node)
    this.#listener = await transport.listen(address, (connection) => this.#accept(connection))
  }

  protected async onClose(): Promise<void> {
    const reason = new AtollError('ATOLL_CLOSED', `${this.label} is closed`)
    const listener = this.#listener
    this.#listener = undefined
    for (const link of [...this.#clients.values(), ...this.#visits, ...this.#servers]) link.close(reason)
    await listener?.close()
    await this.#handlersEnd()
    this.#deadlines.clear()
    this.#unreached.clear()
    this.#calls.clear()
    this.#streams.clear()
  }

  /** Waits for handlers that run, but not for ever: one that ignores its signal must not keep the node from closing. */
  #handlersEnd(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#runtime.clock.timer(this.#options.closeTimeoutMs, resolve)
      void this.#slots.idle().then(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  #assertCallable(node: string): void {
    this.assertOpen()
    assert(node !== this.#options.node, `${this.label} does not call itself`)
  }

  /** Throws `ATOLL_UNREACHABLE` in the pause after an attempt that failed, unless it is urgent. */
  #linkTo(node: string, urgent = false): ClientLink {
    const existing = this.#clients.get(node)
    if (existing !== undefined) return existing
    const unreached = this.#unreached.get(node)
    const pauseMs = unreached?.backoff.remainingMs(this.#runtime.clock.monotonicMs()) ?? 0
    if (pauseMs > 0 && !urgent) throw paused(node, pauseMs, unreached?.reason)
    const link = new ClientLink({
      ...this.#linkParts(),
      node,
      label: node,
      address: () => this.#collaborators.addressOf(node),
      onMismatch: (reason) => this.#mismatched(node, reason),
      onReady: (capabilities) => this.#connected(node, capabilities),
      onUnreached: (reason) => this.#notReached(node, reason),
      onClosed: (wasReady) => {
        if (this.#clients.get(node) === link) this.#clients.delete(node)
        if (wasReady) this.#disconnected(node)
      },
    })
    this.#clients.set(node, link)
    void link.start()
    return link
  }

  #visitTo(address: string): ClientLink {
    const link = new ClientLink({
      ...this.#linkParts(),
      node: undefined,
      label: address,
      address: () => address,
      onMismatch: (reason) => this.#mismatched(link.peer?.node ?? address, reason),
      onReady: () => {},
      onUnreached: () => {},
      onClosed: () => this.#visits.delete(link),
    })
    this.#visits.add(link)
    void link.start()
    return link
  }

  #linkParts(): Pick<ClientLinkParts, 'runtime' | 'transport' | 'options' | 'deadlines' | 'identity'> {
    const { transport, identity } = this.#collaborators
    return { runtime: this.#runtime, transport, options: this.#options, deadlines: this.#deadlines, identity }
  }

  /** Throws if the call needs not begin. */
  #deadlineOf(
    node: string,
    method: string,
    { timeoutMs, signal }: Pick<RpcCallOptions, 'timeoutMs' | 'signal'>,
  ): number {
    if (signal?.aborted) throw givenUp(node, method, signal)
    if (!(timeoutMs <= MAX_DELAY_MS))
      throw wrongRange('timeoutMs', `must be a number up to ${MAX_DELAY_MS}, got ${timeoutMs}`)
    if (timeoutMs <= 0) throw tooLate(node, method)
    return this.#runtime.clock.monotonicMs() + timeoutMs
  }

  #accept(connection: Connection): void {
    const { maxConnections, node } = this.#options
    if (this.#listener === undefined) {
      connection.close()
      return
    }
    if (this.#servers.size >= maxConnections) {
      const reason = new AtollError('ATOLL_OVERLOADED', `${node} has ${maxConnections} connections`)
      this.#runtime.metrics.count('atoll_rpc_refused_total', 1, { code: reason.code })
      connection.close(reason)
      return
    }
    const link = new ServerLink(connection, {
      runtime: this.#runtime,
      options: this.#options,
      deadlines: this.#deadlines,
      slots: this.#slots,
      identity: this.#collaborators.identity,
      openToStrangers: this.#openToStrangers,
      onMismatch: (peer, reason) => this.#mismatched(peer, reason),
      calls: this.#calls,
      streams: this.#streams,
      admits: this.#collaborators.admits,
      onReady: (node, capabilities) => this.#connected(node, capabilities),
      onClosed: (closed, node) => {
        this.#servers.delete(closed)
        if (node !== undefined) this.#disconnected(node)
      },
    })
    this.#servers.add(link)
  }

  #notReached(node: string, reason: AtollError): void {
    if (this.state !== 'open') return
    const { random, clock, metrics } = this.#runtime
    const { reconnectBaseMs: baseMs, reconnectCapMs: capMs } = this.#options
    const backoff = this.#unreached.get(node)?.backoff ?? new Backoff(random, { baseMs, capMs })
    backoff.failed(clock.monotonicMs())
    this.#unreached.set(node, { backoff, reason })
    metrics.count('atoll_rpc_unreached_total', 1, { code: reason.code })
    attempt(this.#runtime, 'listener', () => this.events.emit('peer-unreached', node))
  }

  #connected(node: string, capabilities: readonly string[]): void {
    this.#unreached.delete(node)
    if (this.#peers.add(node, capabilities))
      attempt(this.#runtime, 'listener', () => this.events.emit('peer-connected', node))
  }

  #mismatched(node: string, reason: AtollError): void {
    this.#mismatches.note(node, reason)
    attempt(this.#runtime, 'listener', () => this.events.emit('peer-mismatched', node, reason))
  }

  #disconnected(node: string): void {
    if (this.#peers.remove(node))
      attempt(this.#runtime, 'listener', () => this.events.emit('peer-disconnected', node))
  }
}

function paused(node: string, pauseMs: number, cause: AtollError | undefined): AtollError {
  const message = `${node} was not reached; it is tried again in ${Math.ceil(pauseMs)} ms`
  return new AtollError('ATOLL_UNREACHABLE', message, { cause })
}

function givenUp(node: string, method: string, signal: AbortSignal): AtollError {
  const message = `${method} on ${node} was given up by the caller`
  return new AtollError('ATOLL_ABORTED', message, { definite: true, cause: signal.reason })
}

function tooLate(node: string, method: string): AtollError {
  return new AtollError('ATOLL_TIMEOUT', `no time is left for ${method} on ${node}`, { definite: true })
}
