import { checkInteger, checkKnown, checkName, describe, GiB, KiB, MAX_DELAY_MS, MiB } from '@atoll/core'
import { DEFAULT_FRAME_LIMITS, type FrameLimits } from '@atoll/transport'
import { type HostPort, parseAddress } from './address.ts'

/** PEM texts. */
export interface TlsFiles {
  /** The private key of this node. */
  readonly key: string
  /**
   * Its certificate, with intermediate ones behind it. One of its subject alternative names must be the URI
   * `atoll://<cluster>/<node>`.
   */
  readonly cert: string
  /** The authorities whose certificates are believed, for this cluster. */
  readonly ca: string
}

/** `secret`, `tls` or both must be given. */
export interface TcpOptions extends Partial<FrameLimits> {
  /** The name of this node: 1 to 64 characters of a-z A-Z 0-9 . _ - */
  readonly node: string
  /** The name of the cluster, of the same form. Nodes of other clusters are refused. */
  readonly cluster: string
  /**
   * What all nodes of the cluster know and nobody else, 16 bytes or more. Both sides prove that they know it; it does not
   * travel. Without `tls` nothing else is protected: what is sent can be read and changed on the way.
   */
  readonly secret?: string | Uint8Array | undefined
  /** Mutual TLS, version 1.2 or newer. */
  readonly tls?: TlsFiles | undefined
  /** How long a stranger may take to become a connection, in milliseconds; default 5000. */
  readonly handshakeTimeoutMs?: number
  /** Strangers at the door of one listener at a time; default 256. */
  readonly maxHandshakes?: number
  /** Connections that one listener has accepted, strangers included; default 4096. */
  readonly maxConnections?: number
  /** Silence of a peer after which it is asked for a sign of life, in milliseconds; default 1000. */
  readonly keepAliveMs?: number
  /** Silence after which its connection is lost, in milliseconds, rounded up to whole `keepAliveMs`; default 5000. */
  readonly keepAliveTimeoutMs?: number
  /** How long a closed connection tries to deliver what was sent while nothing moves, in milliseconds; default 5000. */
  readonly closeTimeoutMs?: number
  /** Bytes that wait to be sent before `send` asks for patience; default 2 MiB. */
  readonly highWaterBytes?: number
  /** Bytes that may wait if nobody listens to that; past it the connection is closed. Default 256 MiB. */
  readonly maxQueuedBytes?: number
}

/** What nodes are given to talk over TCP; the name of the node comes from the node. */
export interface TcpFactoryOptions extends Omit<TcpOptions, 'node'> {
  /** Where to listen, as "host:port"; port 0 takes a free one. */
  readonly listen: string
  /**
   * Where other nodes find this one, as "host:port", if that is not where it listens: behind a translated address, or when it listens
   * at every address of the machine (0.0.0.0 or [::]), where it must be given.
   */
  readonly advertise?: string | undefined
}

export const DEFAULT_TCP_OPTIONS = {
  ...DEFAULT_FRAME_LIMITS,
  handshakeTimeoutMs: 5000,
  maxHandshakes: 256,
  maxConnections: 4096,
  keepAliveMs: 1000,
  keepAliveTimeoutMs: 5000,
  closeTimeoutMs: 5000,
  highWaterBytes: 2 * MiB,
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
  maxConnections: { min: 1, max: 2 ** 16 },
  keepAliveMs: { min: 10, max: MAX_DELAY_MS },
  keepAliveTimeoutMs: { min: 10, max: MAX_DELAY_MS },
  closeTimeoutMs: { min: 1, max: MAX_DELAY_MS },
  highWaterBytes: { min: 1, max: 2 ** 40 },
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
      throw new RangeError(`advertise must be given, since nobody can connect to listen (${listen})`)
  } else if (checkAddress('advertise', advertise).port === 0) {
    throw new RangeError(`advertise must have a port that can be connected to, got "${advertise}"`)
  }
}

function checkAddress(option: string, address: unknown): HostPort {
  if (typeof address !== 'string') throw new TypeError(`${option} must be a string, got ${describe(address)}`)
  return parseAddress(address, option)
}

function validateShared(options: Omit<TcpOptions, 'node'>): Omit<TcpSettings, 'node'> {
  const { secret, tls, ...given } = options
  const settings = { ...DEFAULT_TCP_OPTIONS, ...given }
  checkName('cluster', settings.cluster)
  for (const [name, value] of Object.entries(settings))
    if (isLimited(name)) checkInteger(name, value, LIMITS[name])
  if (settings.keepAliveTimeoutMs < settings.keepAliveMs) {
    throw new RangeError(
      `keepAliveTimeoutMs must be at least keepAliveMs (${settings.keepAliveMs}), got ${settings.keepAliveTimeoutMs}`,
    )
  }
  if (secret === undefined && tls === undefined) {
    throw new TypeError('secret or tls must be given: a node does not talk to strangers')
  }
  return settings
}

/** The bytes of the secret. */
export function checkSecret(secret: unknown): Uint8Array {
  const bytes = typeof secret === 'string' ? Buffer.from(secret, 'utf8') : secret
  if (!(bytes instanceof Uint8Array)) throw new TypeError('secret must be a text or bytes')
  if (bytes.length < LEAST_SECRET_BYTES) {
    throw new RangeError(`secret must have at least ${LEAST_SECRET_BYTES} bytes, got ${bytes.length}`)
  }
  return bytes
}

export function checkTlsFiles(files: unknown): TlsFiles {
  if (typeof files !== 'object' || files === null) {
    throw new TypeError(`tls must be { key, cert, ca }, got ${describe(files)}`)
  }
  checkKnown('tls', files, ['key', 'cert', 'ca'])
  const { key, cert, ca } = files as Partial<Record<keyof TlsFiles, unknown>>
  if (typeof key !== 'string' || typeof cert !== 'string' || typeof ca !== 'string') {
    throw new TypeError('tls.key, tls.cert and tls.ca must be PEM texts')
  }
  return { key, cert, ca }
}

function isLimited(name: string): name is keyof typeof LIMITS {
  return Object.hasOwn(LIMITS, name)
}
