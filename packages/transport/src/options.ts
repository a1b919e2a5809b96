import {
  checkInteger,
  checkKnown,
  checkName,
  describe,
  GiB,
  KiB,
  MAX_DELAY_MS,
  MiB,
  wrongRange,
  wrongType,
} from '@atoll/core'
import { checkCapabilities } from './capabilities.ts'

/** How large one frame may be. */
export interface FrameLimits {
  /** Largest head, in bytes; default 1 MiB. */
  readonly maxHeadBytes: number
  /** Largest body, in bytes; default 8 MiB. */
  readonly maxBodyBytes: number
}

export const DEFAULT_FRAME_LIMITS: FrameLimits = { maxHeadBytes: MiB, maxBodyBytes: 8 * MiB }

export interface RpcOptions extends Partial<FrameLimits> {
  /** The name of this node: 1 to 64 characters of a-z A-Z 0-9 . _ -, and neither . nor .. */
  readonly node: string
  /** The cluster: nodes of another one are refused. A name of the same form; default "". */
  readonly clusterName?: string
  /**
   * What this node can do beyond the protocol version, told to every peer in the handshake: up to 60 names of 1 to 64
   * characters of a-z A-Z 0-9 . _ - Default none.
   */
  readonly capabilities?: readonly string[]
  /** How long a connection and its handshake may take, in milliseconds; default 2000. */
  readonly connectTimeoutMs?: number
  /**
   * The longest pause after a connection to a peer could not be made, in milliseconds; default 50. It doubles with every
   * failure that follows. Calls in the pause fail at once, urgent ones excepted.
   */
  readonly reconnectBaseMs?: number
  /** The longest that this pause grows to, in milliseconds; default 1000. 0 for no pause. */
  readonly reconnectCapMs?: number
  /** How long `close` waits for handlers that run, in milliseconds; default 5000. */
  readonly closeTimeoutMs?: number
  /** Unanswered calls to one peer, and calls of one peer that wait to be taken up; default 4096. */
  readonly maxInFlightPerPeer?: number
  /** Handlers that run at one time, for all peers; default 8192. */
  readonly maxConcurrentHandlers?: number
  /** Open streams of one connection; default 256. */
  readonly maxStreamsPerPeer?: number
  /** Connections accepted from peers at one time; default 4096. */
  readonly maxConnections?: number
  /**
   * Answers and stream frames that wait for one connection that is full, in bytes; past it the peer does not read and
   * the connection is closed, which the peer is told. Before that: past an eighth of it, the peer's further requests
   * wait until there is room, up to `maxInFlightPerPeer` of them; one that makes answers and requests together more
   * than seven eighths is refused, and an answer that does is not sent, with `ATOLL_OVERLOADED` for that call alone.
   * Default 256 MiB.
   */
  readonly maxQueuedBytes?: number
  /** What a peer may send on a stream ahead of its reader, in bytes; default 4 MiB. */
  readonly streamWindowBytes?: number
  /** The largest piece that a stream sends as one frame, in bytes; default 1 MiB. */
  readonly streamChunkBytes?: number
  /** Silence of a peer after which a stream fails, in milliseconds; default 30000. */
  readonly streamIdleTimeoutMs?: number
}

export const DEFAULT_RPC_OPTIONS = {
  ...DEFAULT_FRAME_LIMITS,
  clusterName: '',
  capabilities: [],
  connectTimeoutMs: 2000,
  reconnectBaseMs: 50,
  reconnectCapMs: 1000,
  closeTimeoutMs: 5000,
  maxInFlightPerPeer: 4096,
  maxConcurrentHandlers: 8192,
  maxStreamsPerPeer: 256,
  maxConnections: 4096,
  maxQueuedBytes: 256 * MiB,
  streamWindowBytes: 4 * MiB,
  streamChunkBytes: MiB,
  streamIdleTimeoutMs: 30_000,
} satisfies Omit<Required<RpcOptions>, 'node'>

const RPC_LIMITS = {
  // The least must hold any error that crosses.
  maxHeadBytes: { min: 64 * KiB, max: GiB },
  maxBodyBytes: { min: KiB, max: GiB },
  connectTimeoutMs: { min: 1, max: MAX_DELAY_MS },
  reconnectBaseMs: { min: 1, max: MAX_DELAY_MS },
  reconnectCapMs: { min: 0, max: MAX_DELAY_MS },
  closeTimeoutMs: { min: 0, max: MAX_DELAY_MS },
  maxInFlightPerPeer: { min: 1, max: 2 ** 20 },
  maxConcurrentHandlers: { min: 1, max: 2 ** 20 },
  maxStreamsPerPeer: { min: 1, max: 2 ** 16 },
  maxConnections: { min: 1, max: 2 ** 16 },
  maxQueuedBytes: { min: KiB, max: 2 ** 40 },
  streamWindowBytes: { min: 4 * KiB, max: GiB },
  streamChunkBytes: { min: KiB, max: GiB },
  streamIdleTimeoutMs: { min: 100, max: MAX_DELAY_MS },
} as const

/** The options with their defaults. Throws `TypeError` or `RangeError`, naming the value and what was expected. */
export function validateRpcOptions(options: RpcOptions): Required<RpcOptions> {
  const full = { ...DEFAULT_RPC_OPTIONS, ...options }
  checkKnown('rpc options', options, ['node', ...Object.keys(DEFAULT_RPC_OPTIONS)])
  checkName('node', full.node)
  if (full.clusterName !== '') checkName('clusterName', full.clusterName)
  checkCapabilities(full.capabilities)
  for (const [name, value] of Object.entries(full)) {
    if (isLimited(name)) checkInteger(name, value, RPC_LIMITS[name])
  }
  if (full.streamChunkBytes > full.maxBodyBytes) {
    throw wrongRange(
      'streamChunkBytes',
      `must be at most maxBodyBytes (${full.maxBodyBytes}), got ${full.streamChunkBytes}`,
    )
  }
  return full
}

function isLimited(name: string): name is keyof typeof RPC_LIMITS {
  return Object.hasOwn(RPC_LIMITS, name)
}

/** What may go wrong in a `MemoryNetwork`. */
export interface MemoryNetworkOptions {
  /** How long a frame travels, in milliseconds: drawn for each frame, to the microsecond. Default 0 for both. */
  readonly delayMs?: { readonly min: number; readonly max: number }
  /** Frames lost, of a million; default 0. */
  readonly lossPerMillion?: number
  /** Frames that arrive twice, of a million; default 0. */
  readonly duplicatePerMillion?: number
  /** Bytes on the way in one direction of a connection before `send` asks for patience; default 16 MiB. */
  readonly highWaterBytes?: number
}

export const DEFAULT_NETWORK_OPTIONS = {
  delayMs: { min: 0, max: 0 },
  lossPerMillion: 0,
  duplicatePerMillion: 0,
  highWaterBytes: 16 * MiB,
} satisfies Required<MemoryNetworkOptions>

/** At most an hour: a delay is drawn in microseconds from 32 random bits. */
const DELAY_LIMITS = { min: 0, max: 3_600_000 }
const SHARE_LIMITS = { min: 0, max: 1_000_000 }

/** The given options over those of `base`. Throws `TypeError` or `RangeError`. */
export function validateNetworkOptions(
  options: MemoryNetworkOptions,
  base: Required<MemoryNetworkOptions> = DEFAULT_NETWORK_OPTIONS,
): Required<MemoryNetworkOptions> {
  checkKnown('network options', options, Object.keys(DEFAULT_NETWORK_OPTIONS))
  const full = { ...base, ...options }
  if (typeof full.delayMs !== 'object' || full.delayMs === null) {
    throw wrongType('delayMs', `must be { min, max }, got ${describe(full.delayMs)}`)
  }
  checkInteger('delayMs.min', full.delayMs.min, DELAY_LIMITS)
  checkInteger('delayMs.max', full.delayMs.max, { ...DELAY_LIMITS, min: full.delayMs.min })
  checkInteger('lossPerMillion', full.lossPerMillion, SHARE_LIMITS)
  checkInteger('duplicatePerMillion', full.duplicatePerMillion, SHARE_LIMITS)
  checkInteger('highWaterBytes', full.highWaterBytes, { min: 1, max: 2 ** 40 })
  return full
}
