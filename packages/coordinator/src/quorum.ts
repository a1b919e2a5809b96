import { checkInteger, describe, wrongRange } from '@atoll/core'
import { MAX_REPLICAS } from '@atoll/ring'
import type { BucketProperties } from './bucket-properties.ts'
import type { Absence, QuorumSize, ReadOptions, WriteOptions } from './kv.ts'

/** Quorums of one read as numbers, for the replicas that the cluster can really have. */
export interface ReadQuorum {
  readonly n: number
  readonly r: number
  readonly pr: number
  readonly notfoundOk: boolean
  readonly basicQuorum: boolean
  readonly absence: Absence
  readonly sloppy: boolean
}

/** Quorums of one write as numbers. */
export interface WriteQuorum {
  readonly n: number
  readonly w: number
  readonly dw: number
  readonly pw: number
  readonly sloppy: boolean
}

/**
 * What a read asks for, or else its type, of a key that `members` nodes hold. Throws `RangeError` for a quorum that n
 * replicas cannot give; one that only these few cannot give stays, so that it is not met before the cluster has grown.
 */
export function readQuorum(type: BucketProperties, options: ReadOptions, members: number): ReadQuorum {
  const replicas = replicasOf(type, options.n, members)
  return {
    n: replicas.there,
    r: Math.max(1, sizeAmong('r', options.r ?? type.r, replicas)),
    pr: sizeAmong('pr', options.pr ?? type.pr, replicas),
    notfoundOk: options.notfoundOk ?? type.notfoundOk,
    basicQuorum: options.basicQuorum ?? type.basicQuorum,
    absence: options.absence ?? type.absence,
    sloppy: options.sloppy ?? type.sloppy,
  }
}

/** The same for a write. At least one replica must have it on disk, whatever was asked. */
export function writeQuorum(type: BucketProperties, options: WriteOptions, members: number): WriteQuorum {
  const replicas = replicasOf(type, options.n, members)
  return {
    n: replicas.there,
    w: Math.max(1, sizeAmong('w', options.w ?? type.w, replicas)),
    dw: Math.max(1, sizeAmong('dw', options.dw ?? type.dw, replicas)),
    pw: sizeAmong('pw', options.pw ?? type.pw, replicas),
    sloppy: options.sloppy ?? type.sloppy,
  }
}

/**
 * The type and the options of a request while only `n` replicas may be counted on, since the others are being filled: a
 * majority and all are of those that there are, and a number is not greater.
 */
export function among<Options extends ReadOptions & WriteOptions>(
  n: number,
  { type, options }: { readonly type: BucketProperties; readonly options: Options },
): { readonly type: BucketProperties; readonly options: Options } {
  if (n >= type.n) return { type, options }
  const { r, w, dw, pr, pw } = type
  const least = (size: QuorumSize) => (typeof size === 'number' ? Math.min(size, n) : size)
  const fewer = { ...type, n, r: least(r), w: least(w), dw: least(dw), pr: least(pr), pw: least(pw) }
  const asked = Object.entries(options).map(([name, value]) => [
    name,
    SIZES.has(name) && typeof value === 'number' ? Math.min(value, n) : value,
  ])
  return { type: fewer, options: { ...options, ...Object.fromEntries(asked) } }
}

const SIZES: ReadonlySet<string> = new Set(['n', 'r', 'w', 'dw', 'pr', 'pw'])

/** The number that a quorum stands for among `n` replicas: a majority is floor(n / 2) + 1. */
export function quorumSize(name: string, size: QuorumSize, n: number): number {
  if (size === 'quorum') return Math.floor(n / 2) + 1
  if (size === 'all') return n
  if (size === 'one') return 1
  if (typeof size === 'string')
    throw wrongRange(name, `must be an integer, one, quorum or all, got ${describe(size)}`)
  checkInteger(name, size, { min: 0, max: MAX_REPLICAS })
  if (size > n)
    throw wrongRange(name, `must be at most the number of replicas: ${name} is ${size}, n is ${n}`)
  return size
}

interface ReplicaCount {
  readonly asked: number
  /** Never two replicas on one node: a cluster smaller than n keeps one on each. */
  readonly there: number
}

function replicasOf(type: BucketProperties, n: number | undefined, members: number): ReplicaCount {
  const asked = n === undefined ? type.n : checkInteger('n', n, { min: 1, max: type.n })
  return { asked, there: Math.min(asked, members) }
}

/** A number is a number; a majority and all are of those that there are. */
function sizeAmong(name: string, size: QuorumSize, { asked, there }: ReplicaCount): number {
  return quorumSize(name, size, typeof size === 'number' ? asked : there)
}
