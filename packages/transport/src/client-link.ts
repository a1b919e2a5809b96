import { AtollError, type Runtime } from '@atoll/core'
import { type ByteStream, DuplexStream } from './byte-stream.ts'
import { CallTable } from './call-table.ts'
import type { Deadlines, Expiring } from './deadlines.ts'
import { asAtollError, withDefinite } from './error-codec.ts'
import { judgeWelcome } from './handshake.ts'
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
  readonly addressOf: (node: string) => string
  readonly options: Required<RpcOptions>
  readonly deadlines: Deadlines
  /** The node that is called. */
  readonly node: string
  /** Called once, with what the node can do. */
  readonly onReady: (capabilities: readonly string[]) => void
  /** Called before `onClosed` if no connection could be made, unless the endpoint closed or knows no address. */
  readonly onUnreached: (reason: AtollError) => void
  /** Called once; `wasReady` if `onReady` was called before. */
  readonly onClosed: (wasReady: boolean) => void
}

export interface StreamOptions {
  /** Aborts the stream, or the wait for its connection. */
  readonly signal?: AbortSignal | undefined
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
  #closed: AtollError | undefined
  readonly #ids = new LaneIds()
  #attempted = false

  constructor(parts: ClientLinkParts) {
    this.#parts = parts
    const { runtime, deadlines, node, options } = parts
    this.calls = new CallTable({
      clock: runtime.clock,
      deadlines,
      node,
      maxInFlight: options.maxInFlightPerPeer,
      nextId: (urgent) => this.#ids.next(urgent),
    })
  }

  /** Connects and says hello. If that fails the link is closed, and whatever waits for it fails. */
  async start(): Promise<void> {
    const { runtime, transport, addressOf, node, options, deadlines } = this.#parts
    const { connectTimeoutMs: timeoutMs, node: self, clusterId, capabilities } = options
    const { min: minVersion, max: maxVersion } = protocol.PROTOCOL_VERSIONS
    deadlines.add(this, runtime.clock.monotonicMs(), timeoutMs)
    try {
      const address = addressOf(node)
      this.#attempted = true
      const connection = await transport.connect(address, { timeoutMs, signal: this.#stop.signal })
      if (this.#closed !== undefined) return connection.close()
      this.#wire = new Wire(connection, this, options)
      const hello = { minVersion, maxVersion, node: self, clusterId, capabilities }
      this.#wire.send(protocol.encodeHello(hello))
    } catch (error) {
      this.close(asAtollError(error, `connecting to ${node}`))
    }
  }

  /** The handshake took too long. */
  expire(): void {
    const { node, options } = this.#parts
    const message = `${node} did not answer within ${options.connectTimeoutMs} ms`
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
          signal?.removeEventListener('abort', onAbort)
          try {
            resolve(this.#openOn(wire, { method, request, signal }))
          } catch (error) {
            reject(error)
          }
        },
        fail: (error) => {
          signal?.removeEventListener('abort', onAbort)
          reject(error)
        },
      }
      const onAbort = () => {
        if (this.#waiting.delete(waiting)) reject(this.#aborted(method.name, signal, true))
      }
      if (this.#welcome !== undefined && this.#wire !== undefined) return waiting.go(this.#wire)
      this.#waiting.add(waiting)
      signal?.addEventListener('abort', onAbort, { once: true })
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
        this.close(withDefinite(head.error, true))
        break
      default:
        if (!this.#streams.receive(head, body)) this.#refuse(this.#unexpected(head.kind))
    }
  }

  onDrained(): void {
    this.calls.pump()
    this.#streams.onDrained()
  }

  onRefused(reason: AtollError): void {
    this.#refuse(reason)
  }

  onLost(reason: AtollError): void {
    this.close(reason)
  }

  /** Ends the link; what was not sent fails with `reason`, what was sent has an unknown outcome. */
  close(reason: AtollError): void {
    if (this.#closed !== undefined) return
    this.#closed = reason
    this.#parts.deadlines.remove(this)
    this.#stop.abort(reason)
    this.#wire?.close()
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
    const problem = judgeWelcome({ node, clusterId: options.clusterId }, welcome, this.#wire.identity)
    if (problem !== undefined) {
      this.#refuse(problem)
      return
    }
    deadlines.remove(this)
    this.#welcome = welcome
    this.#parts.onReady(welcome.capabilities)
    this.calls.connect(this.#wire)
    for (const waiting of this.#waiting) waiting.go(this.#wire)
    this.#waiting.clear()
  }

  /** What the other side said cannot be accepted. */
  #refuse(reason: AtollError): void {
    this.#parts.runtime.metrics.count('rpc_refused_total', 1, { code: reason.code })
    this.close(reason)
  }

  #openOn<Request>(
    wire: Wire,
    opening: { method: StreamMethod<Request>; request: Request; signal: AbortSignal | undefined },
  ): DuplexStream {
    const { method, request, signal } = opening
    const { runtime, deadlines, node, options } = this.#parts
    const { streamWindowBytes: windowBytes, streamIdleTimeoutMs: idleTimeoutMs, maxStreamsPerPeer } = options
    if (this.#streams.size >= maxStreamsPerPeer) {
      throw new AtollError('ATOLL_OVERLOADED', `${maxStreamsPerPeer} streams to ${node} are open`)
    }
    const { tuple, body } = method.request.encode(request)
    const id = this.#ids.next(false)
    wire.send(protocol.encodeOpen({ id, method: method.name, windowBytes, idleTimeoutMs }, tuple), body)
    const onAbort = () => stream.abort(this.#aborted(method.name, signal, false))
    const stream = new DuplexStream({
      id,
      label: `stream ${method.name} with ${node}`,
      wire,
      deadlines,
      nowMs: () => runtime.clock.monotonicMs(),
      windowBytes,
      peerWindowBytes: this.#welcome?.windowBytes ?? 0,
      chunkBytes: options.streamChunkBytes,
      idleTimeoutMs,
      onOver: () => {
        signal?.removeEventListener('abort', onAbort)
        this.#streams.delete(id)
      },
    })
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#streams.add(stream)
    return stream
  }

  #aborted(method: string, signal: AbortSignal | undefined, definite: boolean): AtollError {
    const message = `${method} on ${this.#parts.node} was given up by the caller`
    return new AtollError('ATOLL_ABORTED', message, { definite, cause: signal?.reason })
  }

  #unexpected(kind: number): AtollError {
    return new AtollError(
      'ATOLL_PROTOCOL',
      `${this.#parts.node} sent a message of kind ${kind} to its caller`,
    )
  }
}
