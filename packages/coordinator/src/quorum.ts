import { checkInteger, describe } from '@atoll/core'
import { MAX_REPLICAS } from '@atoll/ring'
import type { BucketProperties } from './bucket-types.ts'
import type { QuorumSize, ReadOptions, WriteOptions } from './kv.ts'

/** Quorums of one read as numbers, for the replicas that the cluster can really have. */
export interface ReadQuorum {
  readonly n: number
  readonly r: number
  readonly pr: number
  readonly notfoundOk: boolean
  readonly basicQuorum: boolean
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

/** What a read asks for, or else its type. Throws `RangeError` for a quorum that n replicas cannot give. */
export function readQuorum(type: BucketProperties, options: ReadOptions, members: number): ReadQuorum {
  const n = effectiveN(type, options.n, members)
  return {
    n,
    r: Math.max(1, quorumSize('r', options.r ?? type.r, n)),
    pr: quorumSize('pr', options.pr ?? type.pr, n),
    notfoundOk: options.notfoundOk ?? type.notfoundOk,
    basicQuorum: options.basicQuorum ?? type.basicQuorum,
    sloppy: options.sloppy ?? type.sloppy,
  }
}

/** What a write asks for, or else its type. At least one replica must have it on disk, whatever was asked. */
export function writeQuorum(type: BucketProperties, options: WriteOptions, members: number): WriteQuorum {
  const n = effectiveN(type, options.n, members)
  return {
    n,
    w: Math.max(1, quorumSize('w', options.w ?? type.w, n)),
    dw: Math.max(1, quorumSize('dw', options.dw ?? type.dw, n)),
    pw: quorumSize('pw', options.pw ?? type.pw, n),
    sloppy: options.sloppy ?? type.sloppy,
  }
}

/** The number that a quorum stands for among `n` replicas: a majority is floor(n / 2) + 1. */
export function quorumSize(name: string, size: QuorumSize, n: number): number {
  if (size === 'quorum') return Math.floor(n / 2) + 1
  if (size === 'all') return n
  if (size === 'one') return 1
  if (typeof size === 'string')
    throw new RangeError(`${name} must be an integer, one, quorum or all, got ${describe(size)}`)
  checkInteger(name, size, { min: 0, max: MAX_REPLICAS })
  if (size > n)
    throw new RangeError(`${name} must be at most the number of replicas: ${name} is ${size}, n is ${n}`)
  return size
}

/** Never two replicas on one node: a cluster smaller than n keeps one on each. */
function effectiveN(type: BucketProperties, asked: number | undefined, members: number): number {
  const n = asked === undefined ? type.n : checkInteger('n', asked, { min: 1, max: type.n })
  return Math.min(n, members)
}
