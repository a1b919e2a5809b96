import type { Runtime } from '@atoll/core'
import { wrongType } from '@atoll/core'
import type { TransportFactory } from '@atoll/transport'
import { CertificateStore } from './certificate-store.ts'
import {
  checkPeerAddress,
  type TcpFactoryOptions,
  type TcpOptions,
  type TlsFiles,
  validateFactoryOptions,
} from './options.ts'
import { TcpTransport } from './tcp-transport.ts'

/** Makes the TCP transport of a node; see `tcp`. */
export class TcpFactory implements TransportFactory {
  readonly clusterName: string
  readonly listen: string
  readonly advertise: string | undefined
  readonly certified: boolean
  readonly #options: Omit<TcpOptions, 'node'>
  readonly #certificates: CertificateStore | undefined

  constructor(options: TcpFactoryOptions) {
    validateFactoryOptions(options)
    const { listen, advertise, ...rest } = options
    this.clusterName = rest.cluster
    this.listen = listen
    this.advertise = advertise
    this.certified = rest.tls !== undefined
    this.#options = rest
    if (rest.tls !== undefined) this.#certificates = new CertificateStore(rest.tls, rest.cluster)
  }

  /** Throws `RangeError` for a node that the certificates are not for. */
  create(runtime: Runtime, node: string): TcpTransport {
    return new TcpTransport(runtime, { ...this.#options, node }, this.#certificates)
  }

  checkAddress(argument: string, address: string): void {
    checkPeerAddress(argument, address)
  }

  /** `TcpTransport.setCertificates` of every transport that was or will be made. */
  setCertificates(files: TlsFiles): void {
    if (this.#certificates === undefined)
      throw wrongType('tls', 'must be given when a transport is made: this one was made without tls')
    this.#certificates.replace(files, Date.now())
  }
}

/**
 * TCP for a node: what `createNode` takes as its `transport`. Throws `TypeError` or `RangeError` at once for options
 * that cannot be, certificates included.
 */
export function tcp(options: TcpFactoryOptions): TcpFactory {
  return new TcpFactory(options)
}
