import {
  checkInteger,
  checkKnown,
  checkName,
  checkText,
  describe,
  GiB,
  isBytes,
  KiB,
  MAX_DELAY_MS,
  MiB,
  wrongRange,
  wrongType,
} from '@atoll/core'
import { DEFAULT_FRAME_LIMITS, type FrameLimits } from '@atoll/transport'
import { type HostPort, parseAddress } from './address.ts'
import { DEFAULT_URI } from './node-uri.ts'

/** A text in PEM, as it is or as its bytes. */
export type Pem = string | Uint8Array

/** The key and certificate of a node and the authorities that it trusts, as PEM. */
export interface TlsFiles<Text extends Pem = Pem> {
  /** The private key of this node. */
  readonly key: Text
  /**
   * Its certificate, with intermediate ones behind it. One of its subject alternative names must be the URI
   * `atoll://<cluster>/<node>`, or what `uri` says.
   */
  readonly cert: Text
  /** The authorities that this node trusts, for this cluster. */
  readonly ca: Text
}

/** The same as names of files. The node checks them every 5 s while it listens, and reads them again when they change. */
export interface TlsPaths {
  readonly keyFile: string
  readonly certFile: string
  readonly caFile: string
}

export interface TlsNaming {
  /**
   * The form of the URI in the certificates of nodes, with `{node}` at its end and `{cluster}` where wanted, such as
   * `spiffe://example.org/{cluster}/{node}`. The same on all nodes. Default `atoll://{cluster}/{node}`.
   */
  readonly uri?: string | undefined
}

export type TlsOptions = (TlsFiles | TlsPaths) & TlsNaming

/** `secret`, `tls` or both must be given. */
export interface TcpOptions extends Partial<FrameLimits> {
  /** The name of this node: 1 to 64 characters of a-z A-Z 0-9 . _ - */
  readonly node: string
  /** The name of the cluster, of the same form. Nodes of other clusters are refused. */
  readonly cluster: string
  /**
   * A secret that only the nodes of the cluster know, 16 bytes or more. Both sides prove that they know it; it is never
   * sent. Without `tls` nothing else is protected: others on the network can read and change what is sent.
   */
  readonly secret?: string | Uint8Array | undefined
  /** Mutual TLS, version 1.2 or newer. */
  readonly tls?: TlsOptions | undefined
  /** How long a handshake may take, in milliseconds; default 5000. */
  readonly handshakeTimeoutMs?: number
  /** Handshakes of one listener at a time; one more takes the place of a random one of them. Default 256. */
  readonly maxHandshakes?: number
  /** Handshakes with one address at a time. Default 64. */
  readonly maxHandshakesPerAddress?: number
  /** Connections that one listener has accepted, those in a handshake included; default 4096. */
  readonly maxConnections?: number
  /**
   * Whether listening, and connections on which nobody waits for anything, keep the process alive, as those of a server
   * do; default true. With false a node that a test forgot to close does not hold its process.
   */
  readonly holdProcess?: boolean
  /** Silence of a peer after which the node sends it a keep-alive message, in milliseconds; default 1000. */
  readonly keepAliveMs?: number
  /**
   * Silence of a peer after which its connection is closed, in milliseconds, rounded up to whole
   * `keepAliveMs`; default 5000.
   */
  readonly keepAliveTimeoutMs?: number
  /**
   * How long a connection that is being closed waits for progress in delivering what was sent, in milliseconds;
   * default 5000.
   */
  readonly closeTimeoutMs?: number
  /** Bytes that may wait before `send` returns a promise to wait for; default 2 MiB. */
  readonly highWaterBytes?: number
  /**
   * Bytes of frames of which only a part has arrived, on all connections of a transport; past it the connection of the
   * oldest such frame is closed. Default 256 MiB.
   */
  readonly maxPartialBytes?: number
  /** Bytes that may wait if the sender ignores those promises; past it the connection is closed. Default 256 MiB. */
  readonly maxQueuedBytes?: number
}

/** What nodes are given to talk over TCP; the name of the node comes from the node. */
export interface TcpFactoryOptions extends Omit<TcpOptions, 'node'> {
  /** Where to listen, as "host:port"; port 0 takes a free one. */
  readonly listen: string
  /**
   * Where other nodes find this one, as "host:port", if that is not where it listens: behind a translated address, or
   * when it listens at every address of the machine (0.0.0.0 or [::]), where it must be given.
   */
  readonly advertise?: string | undefined
}

export const DEFAULT_TCP_OPTIONS = {
  ...DEFAULT_FRAME_LIMITS,
  handshakeTimeoutMs: 5000,
  maxHandshakes: 256,
  maxHandshakesPerAddress: 64,
  maxConnections: 4096,
  holdProcess: true,
  keepAliveMs: 1000,
  keepAliveTimeoutMs: 5000,
  closeTimeoutMs: 5000,
  highWaterBytes: 2 * MiB,
  maxPartialBytes: 256 * MiB,
  maxQueuedBytes: 256 * MiB,
} as const

/** The options with their defaults; without the secrets, which go their own way. */
export type TcpSettings = Required<Omit<TcpOptions, 'secret' | 'tls'>>

const LEAST_SECRET_BYTES = 16

const LIMITS = {
  maxHeadBytes: { min: KiB, max: GiB },
  maxBodyBytes: { min: KiB, max: GiB },
  handshakeTimeoutMs: { min: 1, max: MAX_DELAY_MS },
  maxHandshakes: { min: 1, max: 2 ** 16 },
  maxHandshakesPerAddress: { min: 1, max: 2 ** 16 },
  maxConnections: { min: 1, max: 2 ** 16 },
  keepAliveMs: { min: 10, max: MAX_DELAY_MS },
  keepAliveTimeoutMs: { min: 10, max: MAX_DELAY_MS },
  closeTimeoutMs: { min: 1, max: MAX_DELAY_MS },
  highWaterBytes: { min: 1, max: 2 ** 40 },
  maxPartialBytes: { min: KiB, max: 2 ** 40 },
  maxQueuedBytes: { min: KiB, max: 2 ** 40 },
} as const

const SHARED = ['cluster', 'secret', 'tls', ...Object.keys(DEFAULT_TCP_OPTIONS)]
/** Hosts that stand for every address of the machine. */
const EVERYWHERE = ['0.0.0.0', '::']

/** Throws `TypeError` or `RangeError`, naming the option and what was expected, but never a secret. */
export function validateTcpOptions(options: TcpOptions): TcpSettings {
  checkKnown('tcp options', options, ['node', ...SHARED])
  const { node, ...shared } = options
  checkName('node', node)
  return { ...validateShared(shared), node }
}

/** Throws as `validateTcpOptions` does. Certificates are looked at by whoever loads them. */
export function validateFactoryOptions(options: TcpFactoryOptions): void {
  checkKnown('tcp options', options, ['listen', 'advertise', ...SHARED])
  const { listen, advertise, ...shared } = options
  validateShared(shared)
  if (shared.secret !== undefined) checkSecret(shared.secret)
  const { host } = checkAddress('listen', listen)
  if (advertise === undefined) {
    if (EVERYWHERE.includes(host))
      throw wrongRange('advertise', `must be given, since nobody can connect to listen (${listen})`)
    return
  }
  checkPeerAddress('advertise', advertise)
  if (EVERYWHERE.includes(checkAddress('advertise', advertise).host))
    throw wrongRange('advertise', `must be an address of one machine, got "${advertise}"`)
}

/** Throws `TypeError` or `RangeError` for what is no address that can be connected to. */
export function checkPeerAddress(option: string, address: unknown): void {
  if (checkAddress(option, address).port === 0)
    throw wrongRange(option, `must have a port that can be connected to, got "${address}"`)
}

function checkAddress(option: string, address: unknown): HostPort {
  if (typeof address !== 'string') throw wrongType(option, `must be a string, got ${describe(address)}`)
  return parseAddress(address, option)
}

function validateShared(options: Omit<TcpOptions, 'node'>): Omit<TcpSettings, 'node'> {
  const { secret, tls, ...given } = options
  const settings = { ...DEFAULT_TCP_OPTIONS, ...given }
  checkName('cluster', settings.cluster)
  for (const [name, value] of Object.entries(settings))
    if (isLimited(name)) checkInteger(name, value, LIMITS[name])
  if (typeof settings.holdProcess !== 'boolean')
    throw wrongType('holdProcess', `must be true or false, got ${describe(settings.holdProcess)}`)
  if (settings.keepAliveTimeoutMs < settings.keepAliveMs) {
    throw wrongRange(
      'keepAliveTimeoutMs',
      `must be at least keepAliveMs (${settings.keepAliveMs}), got ${settings.keepAliveTimeoutMs}`,
    )
  }
  const frameBytes = settings.maxHeadBytes + settings.maxBodyBytes
  if (settings.maxPartialBytes < frameBytes) {
    throw wrongRange(
      'maxPartialBytes',
      `must be at least maxHeadBytes and maxBodyBytes together (${frameBytes}), got ${settings.maxPartialBytes}`,
    )
  }
  if (secret === undefined && tls === undefined) {
    throw wrongType('secret', 'or tls must be given: nodes have to prove who they are')
  }
  return settings
}

/** The bytes of the secret. */
export function checkSecret(secret: unknown): Uint8Array {
  const bytes = typeof secret === 'string' ? Buffer.from(secret, 'utf8') : secret
  if (!isBytes(bytes)) throw wrongType('secret', 'must be a text or bytes')
  if (bytes.length < LEAST_SECRET_BYTES) {
    throw wrongRange('secret', `must have at least ${LEAST_SECRET_BYTES} bytes, got ${bytes.length}`)
  }
  return bytes
}

/** The PEM texts. The values of a secret option are not shown. */
export function checkTlsFiles(files: unknown): TlsFiles<string> {
  const { key, cert, ca } = fieldsOf(files)
  return { key: checkPem('key', key), cert: checkPem('cert', cert), ca: checkPem('ca', ca) }
}

/** What `tls` says, taken apart: names of files, or the PEM texts themselves. */
export function checkTlsOptions(options: unknown): {
  readonly source: TlsFiles | TlsPaths
  readonly uri: string
} {
  const { uri = DEFAULT_URI, ...source } = fieldsOf(options)
  if (typeof uri !== 'string') throw wrongType('tls.uri', `must be a string, got ${describe(uri)}`)
  const { keyFile, certFile, caFile, ...rest } = source
  if (keyFile === undefined && certFile === undefined && caFile === undefined)
    return { source: checkTlsFiles(rest), uri }
  checkKnown('tls with names of files', rest, ['keyFile', 'certFile', 'caFile', 'uri'])
  const paths = {
    keyFile: checkPath('keyFile', keyFile),
    certFile: checkPath('certFile', certFile),
    caFile: checkPath('caFile', caFile),
  }
  return { source: paths, uri }
}

function fieldsOf(tls: unknown): Partial<Record<string, unknown>> {
  if (typeof tls !== 'object' || tls === null)
    throw wrongType('tls', `must be { key, cert, ca } or { keyFile, certFile, caFile }, got ${describe(tls)}`)
  checkKnown('tls', tls, ['key', 'cert', 'ca', 'keyFile', 'certFile', 'caFile', 'uri'])
  return { ...tls }
}

function checkPem(name: string, pem: unknown): string {
  if (typeof pem === 'string') return pem
  if (isBytes(pem)) return Buffer.from(pem).toString('latin1')
  throw wrongType(
    `tls.${name}`,
    `must be a PEM text or its bytes, got ${pem === undefined ? 'nothing' : typeof pem}`,
  )
}

function checkPath(name: string, path: unknown): string {
  return checkText(`tls.${name}`, path, /^[^\0]+$/, 'the name of a file')
}

function isLimited(name: string): name is keyof typeof LIMITS {
  return Object.hasOwn(LIMITS, name)
}
