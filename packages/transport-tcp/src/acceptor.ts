import { randomInt } from 'node:crypto'
import { createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import { AtollError, isAtollError, messageOf, type Timer } from '@atoll/core'
import type { Connection, Listener } from '@atoll/transport'
import { formatAddress, parseAddress } from './address.ts'
import { type Credentials, certifiedNode } from './certificates.ts'
import { Greeting, noteRefusal, type TcpContext } from './greeting.ts'
import type { NodeUri } from './node-uri.ts'
import { because, isNoTls, otherSetup, reasonIn } from './refusal.ts'

/**
 * RFC 8446, 6: the fatal alert protocol_version, in the open. OpenSSL says nothing to who does not speak TLS, who could
 * not tell that from a broken connection.
 */
const TLS_WANTED = Uint8Array.of(21, 3, 1, 0, 2, 2, 70)
const LEFT = 'it left before it was known'

/** Somebody at the door who has not proven anything yet. */
interface Stranger {
  readonly socket: Socket
  readonly peer: string
  /** The address that it comes from, without the port. */
  readonly host: string
  readonly timer: Timer
}

/** Listens at one address, and lets in who can prove its name. */
export class Acceptor implements Listener {
  readonly #context: TcpContext
  readonly #onConnection: (connection: Connection) => void
  readonly #server: Server
  readonly #tls: TlsServer | undefined
  readonly #sockets = new Set<Socket>()
  /** By the address and port that they come from. */
  readonly #strangers = new Map<string, Stranger>()
  #address = ''

  constructor(
    context: TcpContext,
    credentials: Credentials | undefined,
    onConnection: (connection: Connection) => void,
  ) {
    this.#context = context
    this.#onConnection = onConnection
    this.#server = createTcpServer({ noDelay: true }, (socket) => this.#onSocket(socket))
    if (!context.settings.holdProcess) this.#server.unref()
    if (credentials !== undefined) this.#tls = this.#createTls(credentials)
  }

  get address(): string {
    return this.#address
  }

  /** Throws `ATOLL_LOCKED` if the address is taken, `ATOLL_UNREACHABLE` if it is not one of this machine. */
  async listen(address: string): Promise<void> {
    const { host, port } = parseAddress(address)
    await new Promise<void>((resolve, reject) => {
      const onError = (error: Error) => reject(notListening(address, error))
      this.#server.once('error', onError)
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', onError)
        resolve()
      })
    })
    // Such as EMFILE: what comes next may be accepted again.
    this.#server.on('error', (error) => this.#refuse(address, because('limit', messageOf(error))))
    const bound = this.#server.address()
    this.#address = formatAddress({
      host,
      port: typeof bound === 'object' && bound !== null ? bound.port : port,
    })
  }

  /** Handshakes from now on are made with these. */
  use(credentials: Credentials): void {
    this.#tls?.setSecureContext(credentials)
  }

  async close(): Promise<void> {
    this.#server.close()
    for (const { peer, socket } of this.#strangers.values()) {
      this.#settle(peer)
      socket.destroy()
    }
  }

  #createTls(credentials: Credentials): TlsServer {
    const { key, cert, ca, minVersion, names } = credentials
    const { handshakeTimeoutMs: handshakeTimeout } = this.#context.settings
    // Everybody is asked for a certificate. One that is not good is refused in `#onSecure`, where the caller can be
    // told why.
    const policy = { requestCert: true, rejectUnauthorized: false }
    return createTlsServer({ key, cert, ca, minVersion, handshakeTimeout, ...policy })
      .on('secureConnection', (socket) => this.#onSecure(socket, names))
      .on('tlsClientError', (error, socket) => this.#onTlsError(error, socket))
  }

  #onSocket(socket: Socket): void {
    const { settings, runtime } = this.#context
    const peer = peerOf(socket)
    const { remoteAddress: host } = socket
    // One that is gone already has no address.
    if (host === undefined) {
      socket.on('error', ignore).destroy()
      this.#refuse(peer, because('reset', LEFT))
      return
    }
    this.#makeWay(host)
    if (this.#sockets.size >= settings.maxConnections) {
      socket.on('error', ignore).destroy()
      this.#refuse(peer, because('limit', 'too many connections'))
      return
    }
    const onTimeout = () => this.#onTimeout(peer)
    // Nobody waits for a stranger.
    const timer = runtime.clock.timer(settings.handshakeTimeoutMs, onTimeout, { background: true })
    if (!settings.holdProcess) socket.unref()
    this.#sockets.add(socket)
    this.#strangers.set(peer, { socket, peer, host, timer })
    socket.on('error', ignore)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      if (this.#settle(peer)) this.#refuse(peer, because('reset', LEFT))
    })
    if (this.#tls === undefined) this.#greet(socket, peer, undefined)
    else this.#tls.emit('connection', socket)
  }

  #onSecure(socket: TLSSocket, names: NodeUri): void {
    const peer = peerOf(socket)
    let certified: string | AtollError
    try {
      certified = certifiedNode(socket, names)
    } catch (error) {
      if (!isAtollError(error)) throw error
      certified = error
    }
    this.#greet(socket, peer, certified)
  }

  #onTlsError(error: Error, socket: TLSSocket): void {
    const peer = peerOf(socket)
    const stranger = this.#strangers.get(peer)
    if (stranger === undefined || !this.#settle(peer)) return void socket.destroy()
    if (isNoTls(error)) stranger.socket.end(TLS_WANTED, () => stranger.socket.destroy())
    else socket.destroy()
    const [why, options] = [reasonIn(error), { cause: error }]
    this.#refuse(peer, isNoTls(error) ? otherSetup('no-tls', options) : because('tls', why, options))
  }

  #greet(socket: Socket, peer: string, certified: string | AtollError | undefined): void {
    const greeting = new Greeting(this.#context, socket, {
      role: 'server',
      peer,
      certified: certified instanceof AtollError ? undefined : certified,
      onConnection: (connection) => {
        this.#settle(peer)
        this.#onConnection(connection)
      },
      onFailed: (error) => {
        if (this.#settle(peer)) this.#refuse(peer, error)
      },
    })
    greeting.start()
    if (certified instanceof AtollError) greeting.refuse(certified)
  }

  #onTimeout(peer: string): void {
    const stranger = this.#strangers.get(peer)
    if (stranger === undefined || !this.#settle(peer)) return
    stranger.socket.destroy()
    const limitMs = this.#context.settings.handshakeTimeoutMs
    this.#refuse(peer, because('timeout', `it did not say within ${limitMs} ms who it is`))
  }

  /**
   * Where there are too many strangers, one drawn at random goes: a node is a stranger for some milliseconds and rarely hit,
   * while those who only take places lose them as fast as they come.
   */
  #makeWay(host: string): void {
    const { maxConnections, maxHandshakes, maxHandshakesPerAddress } = this.#context.settings
    const strangers = [...this.#strangers.values()]
    const neighbours = strangers.filter((stranger) => stranger.host === host)
    const isCrowded = strangers.length >= maxHandshakes || this.#sockets.size >= maxConnections
    const crowd =
      neighbours.length >= maxHandshakesPerAddress ? neighbours : isCrowded ? strangers : undefined
    // Not of the runtime: who goes must not be foreseen.
    const drawn = crowd?.[randomInt(Math.max(1, crowd.length))]
    if (drawn === undefined || !this.#settle(drawn.peer)) return
    drawn.socket.destroy()
    this.#sockets.delete(drawn.socket)
    this.#refuse(drawn.peer, because('limit', 'too many do not say who they are'))
  }

  /** It is no stranger any more. True for the first time. */
  #settle(peer: string): boolean {
    this.#strangers.get(peer)?.timer.cancel()
    return this.#strangers.delete(peer)
  }

  #refuse(peer: string, error: AtollError): void {
    noteRefusal(this.#context, peer, error)
  }
}

function ignore(): void {}

function peerOf(socket: Socket): string {
  return formatAddress({ host: socket.remoteAddress ?? 'gone', port: socket.remotePort ?? 0 })
}

function notListening(address: string, cause: Error): AtollError {
  if ('code' in cause && cause.code === 'EADDRINUSE') {
    return new AtollError('ATOLL_LOCKED', `address ${address} is in use`, { cause })
  }
  return new AtollError('ATOLL_UNREACHABLE', `cannot listen at ${address}: ${cause.message}`, {
    cause,
    transient: false,
  })
}
