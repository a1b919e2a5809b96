import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import { messageOf, wrongRange, wrongType } from '@atoll/core'
import type { NodeUri } from './node-uri.ts'
import { checkTlsFiles } from './options.ts'
import { because } from './refusal.ts'

/** TLS 1.3 is what two Atoll nodes agree on; 1.2 is what is taken of others. */
const MIN_VERSION = 'TLSv1.2'

/** What both sides of a TLS connection are made with. */
export interface Credentials {
  readonly key: string
  readonly cert: string
  readonly ca: string
  /** The time from which and until which the certificate is valid, in milliseconds since 1970. */
  readonly validMs: { readonly from: number; readonly to: number }
  /** The node that they are for, and how certificates name nodes. */
  readonly node: string
  readonly names: NodeUri
  readonly minVersion: typeof MIN_VERSION
  readonly context: SecureContext
}

/** Whose certificates they must be; those of any one node of the cluster if it is not said which. */
interface Owner {
  readonly names: NodeUri
  readonly node?: string
}

/**
 * The certificates in a form ready to use. Throws `TypeError` or `RangeError` for what cannot work: no PEM, a key of another
 * certificate, a certificate of another node.
 */
export function loadCredentials(files: unknown, owner: Owner): Credentials {
  const { names } = owner
  const { key, cert, ca } = checkTlsFiles(files)
  const certificate = parse('tls.cert', () => new X509Certificate(cert))
  const privateKey = parse('tls.key', () => createPrivateKey(key))
  if (!certificate.checkPrivateKey(privateKey)) throw wrongRange('tls.key', 'must be the key of tls.cert')
  const node = ownerOf(certificate, owner)
  parse('tls.ca', () => new X509Certificate(ca))
  const validMs = { from: Date.parse(certificate.validFrom), to: Date.parse(certificate.validTo) }
  const material = { node, names, key, cert, ca, validMs, minVersion: MIN_VERSION } as const
  return { ...material, context: parse('tls', () => createSecureContext(material)) }
}

/**
 * The name of the node at the other end of a TLS connection. Throws `ATOLL_UNAUTHORIZED` unless its certificate is of one
 * of our authorities, valid now, and for one node of this cluster.
 */
export function certifiedNode(socket: TLSSocket, names: NodeUri): string {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) throw because('certificate', 'the peer shows no certificate')
  if (!socket.authorized) {
    throw because('certificate', `the certificate of the peer is not accepted: ${socket.authorizationError}`)
  }
  const [node, ...others] = nodesOf(certificate, names)
  if (node !== undefined && others.length === 0) return node
  throw because(
    'certificate',
    `the certificate of the peer is not for one node of this cluster: ${namesOf(certificate)}`,
  )
}

/** Throws `RangeError` unless a certificate is for one node alone, and for the right one. */
function ownerOf(certificate: X509Certificate, { names, node }: Owner): string {
  const [found, ...others] = nodesOf(certificate, names)
  if (found !== undefined && others.length === 0 && found === (node ?? found)) return found
  const wanted = node === undefined ? `one node, by a URI such as ${names.of('n1')},` : names.of(node)
  throw wrongRange('tls.cert', `must be for ${wanted} alone, got ${namesOf(certificate)}`)
}

const URI = 'URI:'

/** The nodes of a cluster that a certificate is for. */
function nodesOf(certificate: X509Certificate, names: NodeUri): string[] {
  // Node writes a comma within a name as an escape, so that one name cannot pass for several (CVE-2021-44532).
  const uris = certificate.subjectAltName?.split(', ').filter((name) => name.startsWith(URI)) ?? []
  return uris.flatMap((uri) => names.nodeIn(uri.slice(URI.length)) ?? [])
}

function namesOf(certificate: X509Certificate): string {
  return certificate.subjectAltName?.slice(0, 200) ?? 'no subject alternative name'
}

/** Throws `RangeError` for a certificate that no other node would accept now. */
export function checkValidity({ validMs: { from, to } }: Credentials, nowMs: number): void {
  if (nowMs >= from && nowMs <= to) return
  const [first, last, now] = [from, to, nowMs].map((ms) => new Date(ms).toISOString())
  throw wrongRange('tls.cert', `must be valid now (${now}), and is from ${first} to ${last}`)
}

function parse<T>(name: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw wrongType(name, `cannot be read: ${messageOf(error)}`)
  }
}
