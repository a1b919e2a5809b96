import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import { messageOf } from '@atoll/core'
import { checkTlsFiles, type TlsFiles } from './options.ts'
import { because } from './refusal.ts'

/** TLS 1.3 is what two Atoll nodes agree on; 1.2 is what is taken of others. */
const MIN_VERSION = 'TLSv1.2'

/** What both sides of a TLS connection are made with. */
export interface Credentials extends TlsFiles {
  /** The node that they are for. */
  readonly node: string
  readonly minVersion: typeof MIN_VERSION
  readonly context: SecureContext
}

/** The names that certificates must be for; any one node of the cluster if it is not said which. */
interface Owner {
  readonly cluster: string
  readonly node?: string
}

/**
 * The certificates in a form ready to use. Throws `TypeError` or `RangeError` for what cannot work: no PEM, a key of another
 * certificate, a certificate of another node.
 */
export function loadCredentials(files: unknown, owner: Owner): Credentials {
  const { key, cert, ca } = checkTlsFiles(files)
  const certificate = parse('tls.cert', () => new X509Certificate(cert))
  const privateKey = parse('tls.key', () => createPrivateKey(key))
  if (!certificate.checkPrivateKey(privateKey)) throw new RangeError('tls.key must be the key of tls.cert')
  const node = ownerOf(certificate, owner)
  parse('tls.ca', () => new X509Certificate(ca))
  const material = { node, key, cert, ca, minVersion: MIN_VERSION } as const
  return { ...material, context: parse('tls', () => createSecureContext(material)) }
}

/**
 * The name of the node at the other end of a TLS connection. Throws `ATOLL_UNAUTHORIZED` unless its certificate is of one
 * of our authorities, valid now, and for one node of this cluster.
 */
export function certifiedNode(socket: TLSSocket, cluster: string): string {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) throw because('certificate', 'the peer shows no certificate')
  if (!socket.authorized) {
    throw because('certificate', `the certificate of the peer is not accepted: ${socket.authorizationError}`)
  }
  const [node, ...others] = nodesOf(certificate, cluster)
  if (node !== undefined && others.length === 0) return node
  throw because(
    'certificate',
    `the certificate of the peer is not for one node of ${cluster}: ${namesOf(certificate)}`,
  )
}

/** Throws `RangeError` unless a certificate is for one node alone, and for the right one. */
function ownerOf(certificate: X509Certificate, { cluster, node }: Owner): string {
  const [found, ...others] = nodesOf(certificate, cluster)
  if (found !== undefined && others.length === 0 && found === (node ?? found)) return found
  const wanted = node === undefined ? `one node of atoll://${cluster}` : `atoll://${cluster}/${node}`
  throw new RangeError(`tls.cert must be for ${wanted} alone, got ${namesOf(certificate)}`)
}

const NODE_URI = /^URI:atoll:\/\/([A-Za-z0-9._-]{1,64})\/([A-Za-z0-9._-]{1,64})$/

/** The nodes of a cluster that a certificate is for. */
function nodesOf(certificate: X509Certificate, cluster: string): string[] {
  // Node writes a comma within a name as an escape, so that one name cannot pass for several (CVE-2021-44532).
  const names = certificate.subjectAltName?.split(', ') ?? []
  return names.flatMap((name) => {
    const [, of, node] = NODE_URI.exec(name) ?? []
    return node !== undefined && of === cluster ? [node] : []
  })
}

function namesOf(certificate: X509Certificate): string {
  return certificate.subjectAltName?.slice(0, 200) ?? 'no subject alternative name'
}

function parse<T>(name: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new TypeError(`${name} cannot be read: ${messageOf(error)}`)
  }
}
