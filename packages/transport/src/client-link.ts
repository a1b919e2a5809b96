import { AtollError, ignoreAbort, listenToAbort, type Runtime, withDefinite } from '@atoll/core'
import { type ByteStream, DuplexStream } from './byte-stream.ts'
import { CallTable } from './call-table.ts'
import type { Deadlines, Expiring } from './deadlines.ts'
import { asAtollError } from './error-codec.ts'
import { judgeWelcome } from './handshake.ts'
import { capabilitiesOf, type Identity, type IdentityPort, identityIn, isAboutIdentity } from './identity.ts'
import { LaneIds } from './lanes.ts'
import type { StreamMethod } from './method.ts'
import type { RpcOptions } from './options.ts'
import type { Transport } from './ports.ts'
import * as protocol from './protocol.ts'
import { StreamTable } from './stream-table.ts'
import { Wire, type WireOwner } from './wire.ts'

export interface ClientLinkParts {
  readonly runtime: Runtime
  readonly transport: Transport
  readonly options: Required<RpcOptions>
  readonly deadlines: Deadlines
  readonly identity: IdentityPort | undefined
  /** Where to call; throws for a node that nobody knows. */
  readonly address: () => string
  /** The node that is called; undefined if whoever is at the address is meant. */
  readonly node: string | undefined
  /** What is called, for messages. */
  readonly label: string
  /** Called once, with what the node can do. */
  readonly onReady: (capabilities: readonly string[]) => void
  /** Called if one of the two sides is not what its name stands for to the other. */
  readonly onMismatch: (reason: AtollError) => void
  /** Called before `onClosed` if no connection could be made, unless the endpoint closed or knows no address. */
  readonly onUnreached: (reason: AtollError) => void
  /** Called once; `wasReady` if `onReady` was called before. */
  readonly onClosed: (wasReady: boolean) => void
}

export interface StreamOptions {
  /** Aborts the stream, or the wait for its connection. */
  readonly signal?: AbortSignal | undefined
}

/** Who answers: its name, and what it says that it is. */
export interface Introduced {
  readonly node: string
  readonly identity: Identity | undefined
}

/** Somebody who waits for the connection to stand. */
interface Waiting {
  readonly go: (wire: Wire) => void
  readonly fail: (error: AtollError) => void
}

/** The connection that this node made to another one. It carries the calls and streams that begin here. */
export class ClientLink implements WireOwner, Expiring {
  bucket: Set<Expiring> | undefined
  readonly calls: CallTable
  readonly #parts: ClientLinkParts
  readonly #streams = new StreamTable()
  readonly #waiting = new Set<Waiting>()
  readonly #stop = new AbortController()
  #wire: Wire | undefined
  #welcome: protocol.Welcome | undefined
  #peer: Introduced | undefined
  #closed: AtollError | undefined
  readonly #ids = new LaneIds()
  #attempted = false

  constructor(parts: ClientLinkParts) {
    this.#parts = parts
    const { runtime, deadlines, label, options } = parts
    this.calls = new CallTable({
      clock: runtime.clock,
      deadlines,
      node: label,
      maxInFlight: options.maxInFlightPerPeer,
      nextId: (urgent) => this.#ids.next(urgent),
    })
  }

  /** Connects and says hello. If that fails the link is closed, and whatever waits for it fails. */
  async start(): Promise<void> {
    const { runtime, transport, address, label, options, deadlines, identity } = this.#parts
    const { connectTimeoutMs: timeoutMs, node, clusterName } = options
    const { min: minVersion, max: maxVersion } = protocol.PROTOCOL_VERSIONS
    deadlines.add(this, runtime.clock.monotonicMs(), timeoutMs)
    try {
      const at = address()
      this.#attempted = true
      const connection = await transport.connect(at, { timeoutMs, signal: this.#stop.signal })
      if (this.#closed !== undefined) return connection.close()
      this.#wire = new Wire(connection, this, options)
      this.#wire.hold()
      const own = identity === undefined ? [] : capabilitiesOf(identity.own())
      const capabilities = [...options.capabilities, ...own]
      const hello = { minVersion, maxVersion, node, clusterName, capabilities }
      this.#wire.send(protocol.encodeHello(hello))
    } catch (error) {
      this.close(asAtollError(error, `connecting to ${label}`))
    }
  }

  /** The handshake took too long. */
  expire(): void {
    const { label, options } = this.#parts
    const message = `${label} did not answer within ${options.connectTimeoutMs} ms`
    this.close(new AtollError('ATOLL_UNREACHABLE', message))
  }

  openStream<Request>(
    method: StreamMethod<Request>,
    request: Request,
    options: StreamOptions,
  ): Promise<ByteStream> {
    const { signal } = options
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) return reject(withDefinite(this.#closed, true))
      if (signal?.aborted) return reject(this.#aborted(method.name, signal, true))
      const waiting: Waiting = {
        go: (wire) => {
          ignoreAbort(signal, onAbort)
          try {
            resolve(this.#openOn(wire, { method, request, signal }))
          } catch (error) {
            reject(error)
          }
        },
        fail: (error) => {
          ignoreAbort(signal, onAbort)
          reject(error)
        },
      }
      const onAbort = () => {
        if (this.#waiting.delete(waiting)) reject(this.#aborted(method.name, signal, true))
      }
      if (this.#welcome !== undefined && this.#wire !== undefined) return waiting.go(this.#wire)
      this.#waiting.add(waiting)
      listenToAbort(signal, onAbort)
    })
  }

  onHead(head: protocol.Head, body: Uint8Array): void {
    switch (head.kind) {
      case protocol.RESPONSE:
        this.calls.find(head.id)?.answer(head.message, body)
        break
      case protocol.FAILURE:
        this.calls.find(head.id)?.fail(head.error)
        break
      case protocol.PROGRESS:
        this.calls.find(head.id)?.progress(head.sequence, head.message, body)
        break
      case protocol.WELCOME:
        this.#onWelcome(head)
        break
      case protocol.REFUSE:
        this.#onRefuse(head.error)
        break
      default:
        if (!this.#streams.receive(head, body)) this.#refuse(this.#unexpected(head.kind))
    }
  }

  onDrained(): void {
    this.calls.pump()
    if (this.#wire?.full === false) this.#streams.onDrained()
    else if (this.#wire?.fits(this.#parts.options.streamChunkBytes)) this.#streams.giveTurn()
  }

  onRefused(reason: AtollError): void {
    this.#refuse(reason)
  }

  onLost(reason: AtollError): void {
    this.close(reason)
  }

  /** Who answered, once it has. */
  get peer(): Introduced | undefined {
    return this.#peer
  }

  /** This node has learned who is who: a peer that is not what its name stands for any more loses its connection. */
  judgeAnew(): void {
    const problem = this.#welcome === undefined ? undefined : this.#judge()
    if (problem !== undefined) this.#refuse(problem)
  }

  /** Ends the link; what was not sent fails with `reason`, what was sent has an unknown outcome. */
  close(reason: AtollError): void {
    this.#end(reason, undefined)
  }

  /** The other side is told why, unless it needs no telling. */
  #end(reason: AtollError, told: AtollError | undefined): void {
    if (this.#closed !== undefined) return
    this.#closed = reason
    this.#parts.deadlines.remove(this)
    this.#stop.abort(reason)
    this.#wire?.close(told)
    if (this.#attempted && this.#welcome === undefined) this.#parts.onUnreached(reason)
    this.#parts.onClosed(this.#welcome !== undefined)
    this.calls.lose(reason)
    this.#streams.fail(withDefinite(reason, false))
    for (const waiting of this.#waiting) waiting.fail(withDefinite(reason, true))
    this.#waiting.clear()
  }

  #onWelcome(welcome: protocol.Welcome): void {
    if (this.#welcome !== undefined || this.#wire === undefined) return
    const { node, options, deadlines } = this.#parts
    const { clusterName } = options
    const problem =
      judgeWelcome({ node, clusterName }, welcome, this.#wire.identity) ?? this.#introduced(welcome)
    if (problem !== undefined) {
      this.#refuse(problem)
      return
    }
    deadlines.remove(this)
    this.#welcome = welcome
    this.#parts.onReady(welcome.capabilities.filter((capability) => !isAboutIdentity(capability)))
    this.calls.connect(this.#wire)
    for (const waiting of this.#waiting) waiting.go(this.#wire)
    this.#waiting.clear()
    this.#wire.release()
  }

  /** What is wrong with who answered. */
  #introduced(welcome: protocol.Welcome): AtollError | undefined {
    try {
      this.#peer = { node: welcome.node, identity: identityIn(welcome.capabilities) }
    } catch (error) {
      return asAtollError(error, `the welcome of ${this.#parts.label}`)
    }
    return this.#judge()
  }

  #judge(): AtollError | undefined {
    const { identity: port } = this.#parts
    const { node, identity } = this.#peer ?? {}
    if (port === undefined || node === undefined || identity === undefined) return undefined
    const verdict = port.judge({ node, identity, side: 'callee' })
    return verdict instanceof AtollError ? verdict : undefined
  }

  #onRefuse(reason: AtollError): void {
    if (reason.code === 'ATOLL_FORMAT') this.#parts.onMismatch(reason)
    this.close(withDefinite(reason, true))
  }

  /** What the other side said cannot be accepted. */
  #refuse(reason: AtollError): void {
    if (reason.code === 'ATOLL_FORMAT') this.#parts.onMismatch(reason)
    this.#parts.runtime.metrics.count('atoll_rpc_refused_total', 1, { code: reason.code })
    this.#end(reason, reason)
  }

  #openOn<Request>(
    wire: Wire,
    opening: { method: StreamMethod<Request>; request: Request; signal: AbortSignal | undefined },
  ): DuplexStream {
    const { method, request, signal } = opening
    const { runtime, deadlines, label, options } = this.#parts
    const { streamWindowBytes: windowBytes, streamIdleTimeoutMs: idleTimeoutMs, maxStreamsPerPeer } = options
    if (this.#streams.size >= maxStreamsPerPeer) {
      throw new AtollError('ATOLL_OVERLOADED', `${maxStreamsPerPeer} streams to ${label} are open`)
    }
    const { tuple, body } = method.request.encode(request)
    const id = this.#ids.next(false)
    wire.send(protocol.encodeOpen({ id, method: method.name, windowBytes, idleTimeoutMs }, tuple), body)
    const onAbort = () => stream.abort(this.#aborted(method.name, signal, false))
    const stream = new DuplexStream({
      id,
      label: `stream ${method.name} with ${label}`,
      wire,
      deadlines,
      nowMs: () => runtime.clock.monotonicMs(),
      windowBytes,
      peerWindowBytes: this.#welcome?.windowBytes ?? 0,
      chunkBytes: options.streamChunkBytes,
      idleTimeoutMs,
      onOver: () => {
        ignoreAbort(signal, onAbort)
        this.#streams.delete(id)
        wire.release()
      },
    })
    wire.hold()
    listenToAbort(signal, onAbort)
    this.#streams.add(stream)
    // Its opening may have been too much for what may wait: then the link is closed by now.
    if (this.#closed !== undefined) stream.fail(withDefinite(this.#closed, false))
    return stream
  }

  #aborted(method: string, signal: AbortSignal | undefined, definite: boolean): AtollError {
    const message = `${method} on ${this.#parts.label} was given up by the caller`
    return new AtollError('ATOLL_ABORTED', message, { definite, cause: signal?.reason })
  }

  #unexpected(kind: number): AtollError {
    return new AtollError(
      'ATOLL_PROTOCOL',
      `${this.#parts.label} sent a message of kind ${kind} to its caller`,
    )
  }
}
