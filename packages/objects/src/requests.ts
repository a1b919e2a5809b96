import {
  attempt,
  checkInteger,
  checkKnown,
  checkSignal,
  describe,
  MAX_DELAY_MS,
  type Runtime,
  wrongRange,
  wrongType,
} from '@atoll/core'
import { checkContentType, checkMetadata, checkString, type ObjectMetadata } from './metadata.ts'
import type { ObjectStoreSettings } from './options.ts'
import {
  READ_QUORUM,
  type ReadQuorumOptions,
  readQuorumOf,
  WRITE_QUORUM,
  type WriteQuorumOptions,
  writeQuorumOf,
} from './quorums.ts'

export interface CallOptions {
  /** Aborting it rejects the call with `ATOLL_ABORTED`. */
  readonly signal?: AbortSignal | undefined
}

export interface CloseOptions {
  /** How long requests and streams under way may take to end, in milliseconds, before they are cut; default 5000. */
  readonly drainMs?: number | undefined
}

export interface Progress {
  /** Bytes of the body that have passed so far. */
  readonly bytes: number
}

export interface PutOptions extends CallOptions, WriteQuorumOptions {
  /** Media type, 1 to 256 characters without control characters; default `application/octet-stream`. */
  readonly contentType?: string | undefined
  /** The caller's own names and values. */
  readonly metadata?: ObjectMetadata | undefined
  /** MD5 that the body must have, as 32 hexadecimal digits; else `ATOLL_INVALID_BODY`. */
  readonly contentMd5?: string | undefined
  /** Bytes that the body must have; else `ATOLL_INCOMPLETE_BODY` or, if it has more, `ATOLL_INVALID_BODY`. */
  readonly length?: number | undefined
  /** Called whenever more of the body is durable. What it throws is counted and logged, and stops nothing. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** Bytes from `start` to before `end` (to the end if left out), or the last `suffixLength` bytes. */
export type ByteRange =
  | { readonly start: number; readonly end?: number | undefined }
  | { readonly suffixLength: number }

/** What a call that reads may say. */
export interface ReadOptions extends CallOptions, ReadQuorumOptions {}

/** What a call may say that looks at what is there, and writes: of both. */
export interface DeleteOptions extends ReadOptions, WriteQuorumOptions {}

export interface CreateBucketOptions extends ReadOptions, WriteQuorumOptions {
  /**
   * By which bucket types the objects are stored, for good: with "gold" by those that "gold.manifests" and
   * "gold.blocks" say, which have to be there, the first one with siblings and the second one written once. Default
   * "atoll".
   */
  readonly type?: string | undefined
}

/** Whether a reader may keep the chunks that it gets, or has each of them until it asks for the next. */
export type ChunkOwnership = 'own' | 'lent'

export interface GetOptions extends ReadOptions {
  readonly range?: ByteRange | undefined
  /** Asks all replicas of everything that is read, so that each that lacks it is healed. Default false. */
  readonly repair?: boolean | undefined
  /**
   * Whose the chunks of the body are. `own`: the reader's, for good. `lent`: each is the reader's until the next one is
   * asked for, and then holds other bytes; that saves up to half of the processor time of large objects, for whoever sends,
   * writes or digests each chunk before asking for the next. Default `own`.
   */
  readonly chunks?: ChunkOwnership | undefined
  /** Called whenever more of the body was handed over. What it throws is counted and logged, and stops nothing. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

export interface ListOptions extends ReadOptions {
  /** Only keys that begin with it; default all. */
  readonly prefix?: string | undefined
  /** Keys that have it behind the prefix are shown as one common prefix, up to and with it. */
  readonly delimiter?: string | undefined
  /** Only keys and common prefixes after this one, in the order of bytes: any text, or `next` of the page before. */
  readonly after?: string | undefined
  /** Objects and common prefixes of a page, 1 to 1000; default 1000. */
  readonly limit?: number | undefined
}

export type BucketListOptions = Omit<ListOptions, 'delimiter'>

export interface CollectOptions extends CallOptions {
  /**
   * Wall time to collect for, in milliseconds; default the time that a majority of the members' clocks agree on, or
   * that of this node's clock where no majority answers.
   */
  readonly now?: number | undefined
  /** How long the blocks of a removed version stay for those who read it, in milliseconds; default 24 hours. */
  readonly leewayMs?: number | undefined
  /** Called after each object that was cleared. */
  readonly onProgress?: ((progress: Collected) => void) | undefined
}

/** What a collection did so far. */
export interface Collected {
  /** Objects that were gone through: their records say no more than they must, or are gone. */
  readonly objects: number
  /** Versions that were forgotten. */
  readonly versions: number
  /** Blocks that were deleted, or made sure not to exist. */
  readonly blocks: number
  /** Objects that could not be cleared this time; the next collection tries again. */
  readonly failed: number
}

const MAX_PAGE = 1000
/** Well within the 10 s that Docker and the 30 s that Kubernetes give a process to end. */
const DRAIN_MS = 5000

/** The `drainMs` of the options. Throws `TypeError` or `RangeError`. */
export function checkClose(options: CloseOptions): number {
  checkKnown('close', options, ['drainMs'])
  return checkInteger('drainMs', options.drainMs ?? DRAIN_MS, { min: 0, max: MAX_DELAY_MS })
}

const CALL_OPTIONS: readonly string[] = ['signal']
const READ_OPTIONS: readonly string[] = [...CALL_OPTIONS, ...READ_QUORUM]
const CHANGE_OPTIONS: readonly string[] = [...new Set([...READ_OPTIONS, ...WRITE_QUORUM])]
const PUT_OPTIONS: readonly string[] = [
  ...CALL_OPTIONS,
  'contentType',
  'metadata',
  'contentMd5',
  'length',
  'onProgress',
  ...WRITE_QUORUM,
]

export function checkCall(name: string, options: CallOptions, known: readonly string[] = []): void {
  checkOptions(name, options, [...CALL_OPTIONS, ...known])
}

/** As `checkCall`, for a call that reads. */
export function checkRead(name: string, options: ReadOptions, known: readonly string[] = []): void {
  checkOptions(name, options, known.length === 0 ? READ_OPTIONS : [...READ_OPTIONS, ...known])
  readQuorumOf(options)
}

/** As `checkCall`, for a call that reads and writes. */
export function checkChange(name: string, options: DeleteOptions, known: readonly string[] = []): void {
  checkOptions(name, options, known.length === 0 ? CHANGE_OPTIONS : [...CHANGE_OPTIONS, ...known])
  readQuorumOf(options)
  writeQuorumOf(options)
}

function checkOptions(name: string, options: CallOptions, known: readonly string[]): void {
  checkKnown(name, options, known)
  checkSignal(options.signal)
}

/** What a put asks for, checked. */
export interface PutRequest extends CallOptions {
  readonly contentType: string
  readonly metadata: readonly (readonly [string, string])[]
  readonly contentMd5: string | undefined
  readonly length: number | undefined
  readonly quorum: WriteQuorumOptions
  readonly onProgress: (progress: Progress) => void
}

export function checkPut(options: PutOptions, settings: ObjectStoreSettings, runtime: Runtime): PutRequest {
  checkOptions('put', options, PUT_OPTIONS)
  const { contentType = 'application/octet-stream', contentMd5, length, signal } = options
  checkContentType(contentType)
  if (contentMd5 !== undefined && !/^[0-9a-f]{32}$/i.test(checkString('contentMd5', contentMd5, 32)))
    throw wrongRange('contentMd5', `must be 32 hexadecimal digits, got ${describe(contentMd5)}`)
  if (length !== undefined) checkInteger('length', length, { min: 0, max: Number.MAX_SAFE_INTEGER })
  return {
    signal,
    contentType,
    metadata: checkMetadata(options.metadata ?? {}, settings.maxMetadataBytes),
    contentMd5: contentMd5?.toLowerCase(),
    length,
    quorum: writeQuorumOf(options),
    onProgress: checkCallback(options.onProgress, runtime),
  }
}

export function checkList(name: string, options: ListOptions, known: readonly string[]): void {
  checkOptions(name, options, [...READ_OPTIONS, ...known])
  readQuorumOf(options)
  const { prefix, delimiter, after, limit } = options
  if (prefix !== undefined) checkString('prefix', prefix)
  if (after !== undefined) checkString('after', after)
  if (delimiter !== undefined && checkString('delimiter', delimiter) === '')
    throw wrongRange('delimiter', 'must have at least one character, got ""')
  if (limit !== undefined) checkInteger('limit', limit, { min: 1, max: MAX_PAGE })
}

/** Throws `TypeError` or `RangeError`. */
export function checkOwnership(chunks: unknown): void {
  if (chunks === undefined || chunks === 'own' || chunks === 'lent') return
  const message = `must be "own" or "lent", got ${describe(chunks)}`
  throw typeof chunks === 'string' ? wrongRange('chunks', message) : wrongType('chunks', message)
}

function ignore(): void {}

/** The callback, which may throw without stopping what it is told of. */
export function checkCallback<T>(
  callback: ((value: T) => void) | undefined,
  runtime: Runtime,
): (value: T) => void {
  if (callback === undefined) return ignore
  if (typeof callback !== 'function')
    throw wrongType('onProgress', `must be a function, got ${describe(callback)}`)
  return (value) => void attempt(runtime, 'onProgress', () => callback(value))
}
