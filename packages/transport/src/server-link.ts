import { AtollError, LazySignal, type Runtime } from '@atoll/core'
import { type Door, isAdmitted, notMember, stranger, unknownMethod } from './admission.ts'
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
import type { ServeCall } from './server-call.ts'
import { ServerCalls } from './server-calls.ts'
import type { ServeStream } from './server-stream.ts'
import { StreamTable } from './stream-table.ts'
import { Wire, type WireOwner } from './wire.ts'

export interface ServerLinkParts extends Door {
  readonly runtime: Runtime
  readonly options: Required<RpcOptions>
  readonly deadlines: Deadlines
  readonly slots: HandlerSlots
  readonly identity: IdentityPort | undefined
  readonly calls: ReadonlyMap<string, ServeCall>
  readonly streams: ReadonlyMap<string, ServeStream>
  /** Called once, with the name of the node and what it can do. */
  readonly onReady: (node: string, capabilities: readonly string[]) => void
  /** Called if the peer is not what its name stands for. */
  readonly onMismatch: (peer: string, reason: AtollError) => void
  /** Called once; with the node's name if `onReady` was called before. */
  readonly onClosed: (link: ServerLink, node: string | undefined) => void
}

/** A connection that another node made to this one: its calls and streams are served here. */
export class ServerLink implements WireOwner, Expiring {
  bucket: Set<Expiring> | undefined
  readonly #parts: ServerLinkParts
  readonly #wire: Wire
  readonly #calls: ServerCalls
  readonly #streams = new StreamTable()
  #from: string | undefined
  #said: Identity | undefined
  #standing: Standing = 'member'
  #closed = false
  readonly #seen = new SeenIds()

  constructor(connection: Connection, parts: ServerLinkParts) {
    this.#parts = parts
    this.#wire = new Wire(connection, this, parts.options)
    this.#calls = new ServerCalls(this.#wire, parts)
    parts.deadlines.add(this, parts.runtime.clock.monotonicMs(), parts.options.connectTimeoutMs)
  }

  /** The handshake took too long. */
  expire(): void {
    this.#refuse(new AtollError('ATOLL_UNREACHABLE', `${this.#wire.peer} did not say hello`))
  }

  onHead(head: protocol.Head, body: Uint8Array, bytes: number): void {
    if (this.#from === undefined) this.#onFirst(head)
    else if (head.kind === protocol.REQUEST) this.#onRequest(head, body, bytes)
    else this.#onMessage(head, body, this.#from)
  }

  onDrained(frames: number): void {
    this.#calls.onDrained(frames)
    if (!this.#wire.full) this.#streams.onDrained()
    else if (this.#wire.fits(this.#parts.options.streamChunkBytes)) this.#streams.giveTurn()
  }

  onRefused(reason: AtollError): void {
    this.#refuse(reason)
  }

  onLost(reason: AtollError): void {
    this.close(reason)
  }

  /** Ends the connection; handlers that still work on its calls and streams are told by their signals. */
  close(reason: AtollError): void {
    this.#end(reason, undefined)
  }

  /** The other side is told why, unless it needs no telling. */
  #end(reason: AtollError, told: AtollError | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#parts.deadlines.remove(this)
    this.#wire.close(told)
    this.#parts.onClosed(this, this.#from)
    this.#calls.cancelAll(reason)
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
      case protocol.OPEN:
        if (this.#isNew(head.id, 'rpc.stream-repeated')) this.#onOpen(head, body, from)
        break
      case protocol.CANCEL:
        this.#calls.cancel(head.id, new AtollError('ATOLL_ABORTED', `${from} gave up the call`))
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
    this.#end(reason, reason)
  }

  #onRequest(request: protocol.Request, body: Uint8Array, bytes: number): void {
    const { id, method } = request
    if (this.#from === undefined || !this.#isNew(id, 'rpc.request-repeated')) return
    const { calls, openToStrangers, options } = this.#parts
    const asking = { node: options.node, from: this.#from, method }
    const serve = calls.get(method)
    if (serve === undefined) this.#fail(protocol.FAILURE, id, unknownMethod(asking))
    else if (this.#standing === 'stranger' && !openToStrangers.has(method))
      this.#fail(protocol.FAILURE, id, stranger(asking))
    else this.#calls.receive({ serve, request, body, bytes }, this.#from)
  }

  #onOpen(open: protocol.Open, body: Uint8Array, from: string): void {
    const { streams, slots, options } = this.#parts
    const asking = { node: options.node, from, method: open.method }
    const limit = options.maxStreamsPerPeer
    const refuse = (error: AtollError) => this.#fail(protocol.ABORT, open.id, error)
    const serve = streams.get(open.method)
    if (serve === undefined) refuse(unknownMethod(asking))
    else if (this.#standing === 'stranger') refuse(stranger(asking))
    else if (this.#streams.size >= limit) refuse(this.#overloaded('streams', limit))
    else if (!slots.take()) refuse(this.#overloaded('handlers', slots.limit))
    else this.#startStream(open, body, { serve, from })
  }

  #startStream(
    open: protocol.Open,
    body: Uint8Array,
    { serve, from }: { readonly serve: ServeStream; readonly from: string },
  ): void {
    const { runtime, slots, options } = this.#parts
    const failed = new LazySignal()
    const stream = this.#createStream(open, from, failed)
    // What comes on it while it is asked whether the opener may waits in it.
    this.#streams.add(stream)
    const onDone = () => slots.free()
    const begin = (admitted: boolean) => {
      if (admitted && !failed.aborted)
        return serve({ runtime, from, stream, failed, onDone }, open.message, body)
      onDone()
      stream.abort(notMember({ node: options.node, from, method: open.method }))
    }
    const admitted = isAdmitted(this.#parts, from, open.method)
    if (typeof admitted === 'boolean') begin(admitted)
    else void admitted.then(begin)
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

  #overloaded(what: 'handlers' | 'streams', limit: number): AtollError {
    this.#parts.runtime.metrics.count('atoll_rpc_overloaded_total', 1, { what })
    const verb = what === 'handlers' ? 'run' : 'are open'
    return new AtollError('ATOLL_OVERLOADED', `${limit} ${what} ${verb} on ${this.#parts.options.node}`)
  }

  #unexpected(kind: number): AtollError {
    return new AtollError('ATOLL_PROTOCOL', `${this.#wire.peer} sent a message of kind ${kind} out of place`)
  }
}
