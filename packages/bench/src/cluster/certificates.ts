// The certificates' library finds its parts by it.
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import type { TlsFiles } from '@atoll/transport-tcp'
import * as x509 from '@peculiar/x509'
import { CLUSTER } from './commands.ts'

x509.cryptoProvider.set(webcrypto)

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const HOUR_MS = 3_600_000

/** Certificates that nodes have signed themselves, each believed by all. */
export async function certificates(nodes: readonly string[]): Promise<ReadonlyMap<string, TlsFiles<string>>> {
  const own = await Promise.all(nodes.map(async (node) => ({ node, ...(await selfSigned(node)) })))
  const ca = own.map(({ cert }) => cert).join('\n')
  return new Map(own.map(({ node, key, cert }) => [node, { key, cert, ca }]))
}

async function selfSigned(node: string): Promise<Omit<TlsFiles<string>, 'ca'>> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const name = { type: 'url', value: `atoll://${CLUSTER}/${node}` } as const
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: `CN=${node}`,
    notBefore: new Date(Date.now() - HOUR_MS),
    notAfter: new Date(Date.now() + HOUR_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [new x509.SubjectAlternativeNameExtension([name])],
  })
  const secret = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  const key = x509.PemConverter.encode(secret, x509.PemConverter.PrivateKeyTag)
  return { key, cert: certificate.toString('pem') }
}
