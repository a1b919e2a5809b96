// The certificates' library finds its parts by it.
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import type { TlsFiles } from '@atoll/transport-tcp'
import * as x509 from '@peculiar/x509'

x509.cryptoProvider.set(webcrypto)

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const HOUR_MS = 3_600_000

/**
 * Signs the certificates of the nodes of one cluster, each of them good for a day. In life, this key stays off the
 * nodes.
 */
export class Authority {
  /** Its own certificate, as PEM: what every node has to believe. */
  readonly ca: string
  readonly #cluster: string
  readonly #certificate: x509.X509Certificate
  readonly #keys: webcrypto.CryptoKeyPair
  #issued = 1

  private constructor(cluster: string, certificate: x509.X509Certificate, keys: webcrypto.CryptoKeyPair) {
    this.ca = certificate.toString('pem')
    this.#cluster = cluster
    this.#certificate = certificate
    this.#keys = keys
  }

  static async create(cluster: string): Promise<Authority> {
    const keys = await createKeys()
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      ...validity(),
      serialNumber: '01',
      name: `CN=authority of ${cluster}`,
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [new x509.BasicConstraintsExtension(true, 1, true)],
    })
    return new Authority(cluster, certificate, keys)
  }

  /** A key and a certificate that says `atoll://<cluster>/<node>`: by this name the node is known to the others. */
  async issue(node: string): Promise<TlsFiles<string>> {
    const keys = await createKeys()
    const name = { type: 'url', value: `atoll://${this.#cluster}/${node}` } as const
    const certificate = await x509.X509CertificateGenerator.create({
      ...validity(),
      serialNumber: (++this.#issued).toString(16).padStart(4, '0'),
      subject: `CN=${node}`,
      issuer: this.#certificate.subject,
      signingAlgorithm: ALGORITHM,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      extensions: [new x509.SubjectAlternativeNameExtension([name])],
    })
    const key = x509.PemConverter.encode(
      await webcrypto.subtle.exportKey('pkcs8', keys.privateKey),
      x509.PemConverter.PrivateKeyTag,
    )
    return { key, cert: certificate.toString('pem'), ca: this.ca }
  }
}

function createKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
}

/** From an hour ago, since clocks differ. */
function validity(): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Date.now() - HOUR_MS), notAfter: new Date(Date.now() + 24 * HOUR_MS) }
}
