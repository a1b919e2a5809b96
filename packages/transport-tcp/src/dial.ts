import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, TLSSocket } from 'node:tls'
import { AtollError, ignoreAbort, isAtollError, isError, listenToAbort, type Timer } from '@atoll/core'
import type { Connection, ConnectOptions } from '@atoll/transport'
import { parseAddress } from './address.ts'
import { type Credentials, certifiedNode } from './certificates.ts'
import { Greeting, noteRefusal, type TcpContext } from './greeting.ts'
import { Inbox } from './inbox.ts'
import type { NodeUri } from './node-uri.ts'
import { because, isNoTls, otherSetup, reasonIn, reasonOf } from './refusal.ts'

export interface DialParts extends ConnectOptions {
  readonly address: string
  readonly credentials: Credentials | undefined
}

/** One attempt to connect: socket, TLS if there is any, greeting; within one limit of time. */
export class Dial {
  readonly #context: TcpContext
  readonly #parts: DialParts
  readonly #socket: Socket
  readonly #settle: {
    readonly resolve: (connection: Connection) => void
    readonly reject: (error: AtollError) => void
  }
  readonly #timer: Timer
  readonly #inbox = new Inbox()
  #done = false

  static connect(context: TcpContext, parts: DialParts): Promise<Connection> {
    const { address, signal } = parts
    return new Promise((resolve, reject) => {
      if (signal?.aborted) throw aborted(address, signal)
      new Dial(context, parts, { resolve, reject })
    })
  }

  private constructor(
    context: TcpContext,
    parts: DialParts,
    settle: { resolve: (connection: Connection) => void; reject: (error: AtollError) => void },
  ) {
    this.#context = context
    this.#parts = parts
    this.#settle = settle
    const { timeoutMs, signal, address } = parts
    this.#socket = this.#open()
    this.#socket.once('error', this.#onError)
    this.#socket.once('close', this.#onError)
    this.#timer = context.runtime.clock.timer(timeoutMs, () => {
      this.#fail(unreachable(address, `no answer within ${timeoutMs} ms`))
    })
    listenToAbort(signal, this.#onAbort)
  }

  #open(): Socket {
    const { address, credentials } = this.#parts
    const { host, port } = parseAddress(address)
    if (credentials === undefined) {
      return connectTcp({ host, port, noDelay: true, onread: this.#inbox }).once('connect', () =>
        this.#greet(undefined),
      )
    }
    // Whether the certificate is good is asked below, in words: here it would end the socket with one of 30 codes. The
    // name in it is that of a node, not of a host.
    const { context: secureContext, names } = credentials
    const tls = { secureContext, rejectUnauthorized: false, checkServerIdentity: () => undefined }
    const inbox = { onread: this.#inbox }
    const socket: TLSSocket = connectTls({ host, port, ...tls, ...inbox }).once('secureConnect', () =>
      this.#onSecure(socket, names),
    )
    return socket.setNoDelay(true)
  }

  #onSecure(socket: TLSSocket, names: NodeUri): void {
    try {
      this.#greet(certifiedNode(socket, names))
    } catch (error) {
      if (!isAtollError(error)) throw error
      this.#fail(error)
    }
  }

  #greet(certified: string | undefined): void {
    const { address } = this.#parts
    this.#socket.off('error', this.#onError)
    this.#socket.off('close', this.#onError)
    new Greeting(this.#context, this.#socket, {
      role: 'client',
      peer: address,
      certified,
      inbox: this.#inbox,
      onConnection: (connection) => {
        if (this.#finish()) this.#settle.resolve(connection)
        else connection.close()
      },
      onFailed: (error) => this.#fail(error, false),
    }).start()
  }

  readonly #onAbort = (): void => this.#fail(aborted(this.#parts.address, this.#parts.signal))

  readonly #onError = (error: unknown): void => {
    const { address } = this.#parts
    const why = isError(error) ? reasonIn(error) : 'the connection was closed'
    const isTls = this.#socket instanceof TLSSocket && isError(error) && !isSystemError(error)
    if (isTls && isNoTls(error)) this.#fail(otherSetup('no-tls', { cause: error }))
    else if (isTls) this.#fail(because('tls', `no TLS with ${address}: ${why}`, { cause: error }))
    else this.#fail(unreachable(address, why, error))
  }

  #fail(error: AtollError, destroy = true): void {
    if (!this.#finish()) return
    if (destroy) this.#socket.on('error', ignore).destroy()
    const { address } = this.#parts
    if (error.code !== 'ATOLL_ABORTED' && isAboutPeer(error)) noteRefusal(this.#context, address, error)
    this.#settle.reject(asDefinite(error, address))
  }

  /** True for the first time. */
  #finish(): boolean {
    if (this.#done) return false
    this.#done = true
    this.#timer.cancel()
    ignoreAbort(this.#parts.signal, this.#onAbort)
    return true
  }
}

function ignore(): void {}

/** True if it was this side that refused the other. */
function isAboutPeer(error: AtollError): boolean {
  return error.code !== 'ATOLL_UNREACHABLE' && reasonOf(error) !== 'told'
}

/** Such as ECONNREFUSED; also what `connect` throws when it tried several addresses of a name. */
function isSystemError(error: Error): boolean {
  return (
    'syscall' in error || error.name === 'AggregateError' || ('code' in error && error.code === 'ECONNRESET')
  )
}

/** There is no connection, so nothing has happened on it. */
function asDefinite(error: AtollError, address: string): AtollError {
  const { code, message, details } = error
  const options = { definite: true, details, cause: error.cause }
  return new AtollError(code, `cannot connect to ${address}: ${message}`, options)
}

function unreachable(address: string, why: string, cause?: unknown): AtollError {
  return because('reset', why === '' ? `${address} does not answer` : why, { cause })
}

function aborted(address: string, signal: AbortSignal | undefined): AtollError {
  return new AtollError('ATOLL_ABORTED', `connecting to ${address} was aborted`, {
    definite: true,
    cause: signal?.reason,
  })
}
