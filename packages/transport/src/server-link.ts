import { AtollError, LazySignal, type Runtime } from '@atoll/core'
import { DuplexStream } from './byte-stream.ts'
import type { Deadlines, Expiring } from './deadlines.ts'
import { asAtollError } from './error-codec.ts'
import type { HandlerSlots } from './handler-slots.ts'
import { judgeHello } from './handshake.ts'
import {
  capabilitiesOf,
  type Identity,
  type IdentityPort,
  identityIn,
  isAboutIdentity,
  type Standing,
} from './identity.ts'
import { isUrgent, SeenIds } from './lanes.ts'
import type { RpcOptions } from './options.ts'
import type { Connection } from './ports.ts'
import * as protocol from './protocol.ts'
import { type ServeCall, ServerCall } from './server-call.ts'
import type { ServeStream } from './server-stream.ts'
import { StreamTable } from './stream-table.ts'
import { Wire, type WireOwner } from './wire.ts'

type Called = Pick<protocol.Request | protocol.Open, 'method'>

export interface ServerLinkParts {
  readonly runtime: Runtime
  readonly options: Required<RpcOptions>
  readonly deadlines: Deadlines
  readonly slots: HandlerSlots
  readonly identity: IdentityPort | undefined
  /** The methods that strangers may ask. */
  readonly openToStrangers: ReadonlySet<string>
  readonly calls: ReadonlyMap<string, ServeCall>
  readonly streams: ReadonlyMap<string, ServeStream>
  readonly admits: Admits | undefined
  /** Called once, with the name of the node and what it can do. */
  readonly onReady: (node: string, capabilities: readonly string[]) => void
  /** Called if the peer is not what its name stands for. */
  readonly onMismatch: (peer: string, reason: AtollError) => void
  /** Called once; with the node's name if `onReady` was called before. */
  readonly onClosed: (link: ServerLink, node: string | undefined) => void
}

/**
 * Whether a node may call a method that is not open to strangers. Asked for every request and every stream; a promise says that it is not known yet, and
 * the request waits for it. One that rejects is a no.
 */
export type Admits = (node: string, method: string) => boolean | Promise<boolean>

/** A connection that another node made to this one: its calls and streams are served here. */
export class ServerLink implements WireOwner, Expiring {
  bucket: Set<Expiring> | undefined
  readonly #parts: ServerLinkParts
  readonly #wire: Wire
  readonly #calls = new Map<number, ServerCall>()
  readonly #streams = new StreamTable()
  #from: string | undefined
  #said: Identity | undefined
  #standing: Standing = 'member'
  #closed = false
  readonly #seen = new SeenIds()

  constructor(connection: Connection, parts: ServerLinkParts) {
    this.#parts = parts
    this.#wire = new Wire(connection, this, parts.options)
    parts.deadlines.add(this, parts.runtime.clock.monotonicMs(), parts.options.connectTimeoutMs)
  }

  /** The handshake took too long. */
  expire(): void {
    this.#refuse(new AtollError('ATOLL_UNREACHABLE', `${this.#wire.peer} did not say hello`))
  }

  onHead(head: protocol.Head, body: Uint8Array): void {
    if (this.#from === undefined) this.#onFirst(head)
    else this.#onMessage(head, body, this.#from)
  }

  onDrained(): void {
    this.#streams.onDrained()
  }

  onRefused(reason: AtollError): void {
    this.#refuse(reason)
  }

  onLost(reason: AtollError): void {
    this.close(reason)
  }

  /** Ends the connection; handlers that still work on its calls and streams are told by their signals. */
  close(reason: AtollError): void {
    if (this.#closed) return
    this.#closed = true
    this.#parts.deadlines.remove(this)
    this.#wire.close()
    this.#parts.onClosed(this, this.#from)
    for (const call of [...this.#calls.values()]) call.cancel(reason)
    this.#streams.fail(reason)
  }

  #onFirst(head: protocol.Head): void {
    if (head.kind !== protocol.HELLO) {
      this.#refuse(this.#unexpected(head.kind))
      return
    }
    const { node, clusterName } = this.#parts.options
    const version = judgeHello({ node, clusterName }, head, this.#wire.identity)
    const problem = version instanceof AtollError ? version : this.#introduced(head)
    if (version instanceof AtollError || problem !== undefined) {
      const verdict = problem ?? this.#unexpected(head.kind)
      this.#wire.send(protocol.encodeRefuse(verdict))
      this.#refuse(verdict, head.node)
    } else {
      this.#from = head.node
      this.#parts.deadlines.remove(this)
      this.#welcome(version)
      this.#parts.onReady(
        head.node,
        head.capabilities.filter((capability) => !isAboutIdentity(capability)),
      )
    }
  }

  #welcome(version: number): void {
    const { options, identity } = this.#parts
    const { node, clusterName, streamWindowBytes: windowBytes } = options
    const own = identity === undefined ? [] : capabilitiesOf(identity.own())
    const capabilities = [...options.capabilities, ...own]
    this.#wire.send(protocol.encodeWelcome({ version, node, clusterName, windowBytes, capabilities }))
  }

  /** What is wrong with who says hello. */
  #introduced({ node, capabilities }: protocol.Hello): AtollError | undefined {
    try {
      this.#said = identityIn(capabilities)
    } catch (error) {
      return asAtollError(error, `the hello of ${node}`)
    }
    return this.#judge(node)
  }

  #judge(node: string): AtollError | undefined {
    const { identity: port } = this.#parts
    if (port === undefined || this.#said === undefined) return undefined
    const verdict = port.judge({ node, identity: this.#said, side: 'caller' })
    if (verdict instanceof AtollError) return verdict
    this.#standing = verdict
    return undefined
  }

  /** This node has learned who is who: a peer that is not what its name stands for any more loses its connection. */
  judgeAnew(): void {
    const problem = this.#from === undefined ? undefined : this.#judge(this.#from)
    if (problem !== undefined) this.#refuse(problem)
  }

  #onMessage(head: protocol.Head, body: Uint8Array, from: string): void {
    switch (head.kind) {
      case protocol.REQUEST:
        if (this.#isNew(head.id, 'rpc.request-repeated')) this.#onRequest(head, body, from)
        break
      case protocol.OPEN:
        if (this.#isNew(head.id, 'rpc.stream-repeated')) this.#onOpen(head, body, from)
        break
      case protocol.CANCEL:
        this.#calls.get(head.id)?.cancel(new AtollError('ATOLL_ABORTED', `${from} gave up the call`))
        break
      case protocol.HELLO:
        break // Repeated by the network.
      default:
        if (!this.#streams.receive(head, body)) this.#refuse(this.#unexpected(head.kind))
    }
  }

  /** What the other side said cannot be accepted. */
  #refuse(reason: AtollError, name = this.#from): void {
    const { log, metrics } = this.#parts.runtime
    const from = name ?? this.#wire.identity ?? this.#wire.peer
    if (reason.code === 'ATOLL_FORMAT') this.#parts.onMismatch(from, reason)
    else log.warn({ from, why: reason.message }, 'a connection was refused')
    metrics.count('atoll_rpc_refused_total', 1, { code: reason.code })
    this.close(reason)
  }

  #onRequest(request: protocol.Request, body: Uint8Array, from: string): void {
    const { calls, slots } = this.#parts
    const refuse = (error: AtollError) => this.#fail(protocol.FAILURE, request.id, error)
    const serve = calls.get(request.method)
    if (serve === undefined) refuse(this.#unknown(request.method))
    else if (!this.#serves(request.method)) refuse(this.#stranger(request.method, from))
    else if (!slots.take()) refuse(this.#overloaded('handlers run', slots.limit))
    else {
      this.#ifAdmitted(request, from, (error) => {
        if (error === undefined) return serve(this.#createCall(request, from), request.message, body)
        slots.free()
        refuse(error)
      })
    }
  }

  /** Goes on at once where that is possible, and not at all if the connection has ended meanwhile. */
  #ifAdmitted({ method }: Called, from: string, goOn: (refusal: AtollError | undefined) => void): void {
    const { admits, openToStrangers } = this.#parts
    const admitted = openToStrangers.has(method) || (admits?.(from, method) ?? true)
    const refusal = () => {
      const message = `${from} may not call ${method} on ${this.#parts.options.node}: it is no member of the cluster`
      return new AtollError('ATOLL_UNAUTHORIZED', message)
    }
    if (typeof admitted === 'boolean') {
      goOn(admitted ? undefined : refusal())
      return
    }
    const later = (isAdmitted: boolean) => {
      if (this.#closed) this.#parts.slots.free()
      else goOn(isAdmitted ? undefined : refusal())
    }
    void admitted.then(later, () => later(false))
  }

  #createCall(request: protocol.Request, from: string): ServerCall {
    const { runtime, deadlines } = this.#parts
    const { id, method, remainingMs } = request
    const nowMs = runtime.clock.monotonicMs()
    const call = new ServerCall({
      runtime,
      wire: this.#wire,
      id,
      from,
      method,
      deadlineMs: nowMs + remainingMs,
      onDone: this.#onDone,
    })
    this.#calls.set(id, call)
    deadlines.add(call, nowMs, remainingMs)
    return call
  }

  readonly #onDone = (call: ServerCall): void => {
    this.#calls.delete(call.id)
    this.#parts.deadlines.remove(call)
    this.#parts.slots.free()
  }

  #onOpen(open: protocol.Open, body: Uint8Array, from: string): void {
    const { runtime, streams, slots, options } = this.#parts
    const limit = options.maxStreamsPerPeer
    const refuse = (error: AtollError) => this.#fail(protocol.ABORT, open.id, error)
    const serve = streams.get(open.method)
    if (serve === undefined) refuse(this.#unknown(open.method))
    else if (this.#standing === 'stranger') refuse(this.#stranger(open.method, from))
    else if (this.#streams.size >= limit) refuse(this.#overloaded('streams are open', limit))
    else if (!slots.take()) refuse(this.#overloaded('handlers run', slots.limit))
    else {
      const failed = new LazySignal()
      const stream = this.#createStream(open, from, failed)
      // What comes on it meanwhile waits in it.
      this.#streams.add(stream)
      this.#ifAdmitted(open, from, (error) => {
        if (error === undefined)
          return serve({ runtime, from, stream, failed, onDone: () => slots.free() }, open.message, body)
        slots.free()
        stream.abort(error)
      })
    }
  }

  #createStream(open: protocol.Open, from: string, failed: LazySignal): DuplexStream {
    const { runtime, deadlines, options } = this.#parts
    return new DuplexStream({
      id: open.id,
      label: `stream ${open.method} with ${from}`,
      wire: this.#wire,
      deadlines,
      nowMs: () => runtime.clock.monotonicMs(),
      windowBytes: options.streamWindowBytes,
      peerWindowBytes: open.windowBytes,
      chunkBytes: options.streamChunkBytes,
      idleTimeoutMs: open.idleTimeoutMs,
      onOver: (error) => {
        this.#streams.delete(open.id)
        if (error !== undefined) failed.abort(error)
      },
    })
  }

  #isNew(id: number, mark: string): boolean {
    const isNew = this.#seen.add(id)
    if (!isNew) this.#parts.runtime.probe.mark(mark)
    return isNew
  }

  #fail(kind: typeof protocol.FAILURE | typeof protocol.ABORT, id: number, error: AtollError): void {
    this.#wire.send(protocol.encodeFailure(kind, id, error), undefined, isUrgent(id))
  }

  #unknown(method: string): AtollError {
    return new AtollError('ATOLL_PROTOCOL', `${this.#parts.options.node} does not serve ${method}`)
  }

  #serves(method: string): boolean {
    return this.#standing === 'member' || this.#parts.openToStrangers.has(method)
  }

  #stranger(method: string, from: string): AtollError {
    const { node } = this.#parts.options
    return new AtollError(
      'ATOLL_UNAUTHORIZED',
      `${from} is of no cluster that ${node} knows, and asks ${method}`,
    )
  }

  #overloaded(what: string, limit: number): AtollError {
    return new AtollError('ATOLL_OVERLOADED', `${limit} ${what} on ${this.#parts.options.node}`)
  }

  #unexpected(kind: number): AtollError {
    return new AtollError('ATOLL_PROTOCOL', `${this.#wire.peer} sent a message of kind ${kind} out of place`)
  }
}
