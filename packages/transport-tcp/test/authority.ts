// The certificates' library finds its parts by it.
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import type { TlsFiles } from '@atoll/transport-tcp'
import * as x509 from '@peculiar/x509'

x509.cryptoProvider.set(webcrypto)

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const HOUR_MS = 3_600_000

export interface Wanted {
  /** Its subject alternative names; default the URI of the node. */
  readonly names?: x509.JsonGeneralNames
  readonly cluster?: string
  readonly notBefore?: Date
  readonly notAfter?: Date
}

/** Makes certificates as an operator would. */
export class Authority {
  readonly ca: string
  readonly #certificate: x509.X509Certificate
  readonly #keys: webcrypto.CryptoKeyPair
  #serial = 1

  private constructor(certificate: x509.X509Certificate, keys: webcrypto.CryptoKeyPair) {
    this.ca = `${certificate.toString('pem')}\n`
    this.#certificate = certificate
    this.#keys = keys
  }

  static async create(name: string): Promise<Authority> {
    const keys = await createKeys()
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: '01',
      name: `CN=${name}`,
      notBefore: new Date(Date.now() - HOUR_MS),
      notAfter: new Date(Date.now() + HOUR_MS),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [new x509.BasicConstraintsExtension(true, 1, true)],
    })
    return new Authority(certificate, keys)
  }

  /** The files of a node. */
  async issue(node: string, wanted: Wanted = {}): Promise<TlsFiles<string>> {
    const { cluster = 'reef', names = [{ type: 'url', value: `atoll://${cluster}/${node}` }] } = wanted
    const keys = await createKeys()
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: (++this.#serial).toString(16).padStart(4, '0'),
      subject: `CN=${node}`,
      issuer: this.#certificate.subject,
      notBefore: wanted.notBefore ?? new Date(Date.now() - HOUR_MS),
      notAfter: wanted.notAfter ?? new Date(Date.now() + HOUR_MS),
      signingAlgorithm: ALGORITHM,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      extensions: [new x509.SubjectAlternativeNameExtension(names)],
    })
    const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
    return {
      key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
      cert: certificate.toString('pem'),
      ca: this.ca,
    }
  }
}

function createKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
}
