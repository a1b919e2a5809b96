import { type Credentials, loadCredentials } from './certificates.ts'
import type { TlsFiles } from './options.ts'

/** The certificates of one node of a cluster, which may be renewed while they are in use. */
export class CertificateStore {
  readonly #cluster: string
  readonly #followers = new Set<(credentials: Credentials) => void>()
  #current: Credentials

  /** Throws `TypeError` or `RangeError` for certificates that cannot be used. */
  constructor(files: TlsFiles, cluster: string) {
    this.#cluster = cluster
    this.#current = loadCredentials(files, { cluster })
  }

  get current(): Credentials {
    return this.#current
  }

  /** Throws `RangeError` unless the certificates are those of `node`. */
  checkNode(node: string): void {
    if (node !== this.#current.node) {
      const wanted = `atoll://${this.#cluster}/${node}`
      throw new RangeError(`tls.cert must be for ${wanted} alone, got one for ${this.#current.node}`)
    }
  }

  /** Changes the certificates for whoever follows. Throws `TypeError` or `RangeError`, and then changes nothing. */
  replace(files: TlsFiles): void {
    this.#current = loadCredentials(files, { cluster: this.#cluster, node: this.#current.node })
    for (const follow of this.#followers) follow(this.#current)
  }

  /** Calls `follow` with new certificates, until the function that is returned is called. */
  follow(follow: (credentials: Credentials) => void): () => void {
    this.#followers.add(follow)
    return () => this.#followers.delete(follow)
  }
}
