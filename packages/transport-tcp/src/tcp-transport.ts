import { randomBytes } from 'node:crypto'
import { LineLimit, type Runtime, wrongType } from '@atoll/core'
import type { Connection, ConnectOptions, Listener, Transport } from '@atoll/transport'
import { Acceptor } from './acceptor.ts'
import { resolveAddress } from './address.ts'
import { CertificateStore } from './certificate-store.ts'
import { Dial } from './dial.ts'
import type { TcpContext } from './greeting.ts'
import { checkSecret, type TcpOptions, type TlsFiles, validateTcpOptions } from './options.ts'
import { Partials } from './partials.ts'
import { Presence } from './presence.ts'

const INSTANCE_BYTES = 16
/** Between two lines about connections that were refused for the same reason. */
const REFUSAL_LINES_MS = 10_000

/**
 * TCP between nodes that prove who they are, by a secret of the cluster, by certificates, or by both. An address is
 * "host:port"; listening at port 0 takes a free one, which the listener tells.
 *
 * Besides what the port says, `connect` throws `ATOLL_UNAUTHORIZED` if one side does not believe the other, and
 * `ATOLL_PROTOCOL` if the other is no node, of another cluster or version, or has a name that is taken.
 */
export class TcpTransport implements Transport {
  readonly #context: TcpContext
  readonly #certificates: CertificateStore | undefined

  /**
   * Throws `TypeError` or `RangeError` for invalid options, certificates included. With `certificates`, those of
   * `options` are not looked at.
   */
  constructor(runtime: Runtime, options: TcpOptions, certificates?: CertificateStore) {
    const settings = validateTcpOptions(options)
    const { node, cluster } = settings
    this.#context = {
      runtime,
      settings,
      own: { node, cluster, instance: randomBytes(INSTANCE_BYTES) },
      secret: options.secret === undefined ? undefined : checkSecret(options.secret),
      presence: new Presence(),
      refusals: new LineLimit(runtime.clock, REFUSAL_LINES_MS),
      partials: new Partials(settings.maxPartialBytes),
    }
    const { tls } = options
    this.#certificates = certificates ?? (tls === undefined ? undefined : new CertificateStore(tls, cluster))
    this.#certificates?.checkNode(node)
  }

  async listen(address: string, onConnection: (connection: Connection) => void): Promise<Listener> {
    const acceptor = new Acceptor(this.#context, this.#certificates?.current, onConnection)
    // Before it listens: certificates may change while it does.
    const unfollow = this.#certificates?.follow((credentials) => acceptor.use(credentials))
    const unwatch = this.#certificates?.watch(this.#context.runtime)
    const forget = () => {
      unfollow?.()
      unwatch?.()
    }
    try {
      await acceptor.listen(address)
    } catch (error) {
      forget()
      throw error
    }
    const close = () => {
      forget()
      return acceptor.close()
    }
    return { address: acceptor.address, close }
  }

  connect(address: string, options: ConnectOptions): Promise<Connection> {
    return Dial.connect(this.#context, { ...options, address, credentials: this.#certificates?.current })
  }

  async resolve(address: string): Promise<readonly string[]> {
    return resolveAddress(address)
  }

  /**
   * Changes the certificates: connections from now on, in either direction, use the new ones; those that stand stay.
   * Throws `TypeError` or `RangeError` for certificates that cannot be used here, or that are not valid now, and then
   * changes nothing.
   */
  setCertificates(files: TlsFiles): void {
    if (this.#certificates === undefined)
      throw wrongType('tls', 'must be given when a transport is made: this one was made without tls')
    this.#certificates.replace(files, this.#context.runtime.clock.wallMs())
  }
}

/** A transport over TCP; see `TcpOptions` for what it takes. */
export function tcpTransport(runtime: Runtime, options: TcpOptions): TcpTransport {
  return new TcpTransport(runtime, options)
}
