import { checkBoolean, checkInteger, describe, HOUR_MS, wrongRange } from '@atoll/core'

/** How many replicas: a number, or `one`, `quorum` (a majority of n), `all`. */
export type ReplicaCount = number | 'one' | 'quorum' | 'all'

/** Quorums of one call, in place of those of the bucket type. Each has the meaning that it has there. */
export interface ReadQuorumOptions {
  /** Replicas of the preference list that take part; at most the n of the bucket type. */
  readonly n?: number
  /** Replicas that must answer. With 1 and `absence: 'any'` a read takes the answer of one replica. */
  readonly r?: ReplicaCount
  /** How many of those must be primaries. */
  readonly pr?: ReplicaCount
  readonly notfoundOk?: boolean
  readonly basicQuorum?: boolean
  /** Whether only primaries (`primaries`, the default) or any replicas (`any`) can confirm that something is absent. */
  readonly absence?: 'primaries' | 'any'
  /** False to ask primaries only. */
  readonly sloppy?: boolean
  /** How long each request to the replicas may take, in milliseconds, an hour at most. */
  readonly timeoutMs?: number
}

export interface WriteQuorumOptions {
  readonly n?: number
  /** Replicas that must have it in memory. */
  readonly w?: ReplicaCount
  /** Replicas that must have it on disk. */
  readonly dw?: ReplicaCount
  /** Primaries that must have it on disk. */
  readonly pw?: ReplicaCount
  readonly sloppy?: boolean
  readonly timeoutMs?: number
}

type Options = Readonly<Record<string, unknown>>

const NOTHING_SAID: Options = {}

const MAX_REPLICAS = 16
const SIZES: readonly unknown[] = ['one', 'quorum', 'all']

function checkCount(name: string, count: unknown): void {
  if (SIZES.includes(count)) return
  if (typeof count === 'string')
    throw wrongRange(name, `must be a number, one, quorum or all, got ${describe(count)}`)
  checkInteger(name, count, { min: 0, max: MAX_REPLICAS })
}

function checkAbsence(name: string, absence: unknown): void {
  if (absence !== 'primaries' && absence !== 'any')
    throw wrongRange(name, `must be primaries or any, got ${describe(absence)}`)
}

type Check = (name: string, value: unknown) => void

const COMMON: Readonly<Record<string, Check>> = {
  n: (name, n) => void checkInteger(name, n, { min: 1, max: MAX_REPLICAS }),
  sloppy: (name, sloppy) => void checkBoolean(name, sloppy),
  timeoutMs: (name, ms) => void checkInteger(name, ms, { min: 1, max: HOUR_MS }),
}

const OF_READS: Readonly<Record<string, Check>> = {
  ...COMMON,
  r: checkCount,
  pr: checkCount,
  notfoundOk: (name, value) => void checkBoolean(name, value),
  basicQuorum: (name, value) => void checkBoolean(name, value),
  absence: checkAbsence,
}

const OF_WRITES: Readonly<Record<string, Check>> = {
  ...COMMON,
  w: checkCount,
  dw: checkCount,
  pw: checkCount,
}

export const READ_QUORUM: readonly string[] = Object.keys(OF_READS)
export const WRITE_QUORUM: readonly string[] = Object.keys(OF_WRITES)

/** What of the options is for reads of replicas, checked. Throws `TypeError` or `RangeError`, naming the option. */
export function readQuorumOf(options: ReadQuorumOptions): ReadQuorumOptions {
  return picked(options, OF_READS)
}

/** The same for writes. */
export function writeQuorumOf(options: WriteQuorumOptions): WriteQuorumOptions {
  return picked(options, OF_WRITES)
}

/** Whether the bucket type has its say in everything. */
export function saysNothing(quorum: ReadQuorumOptions | WriteQuorumOptions): boolean {
  return quorum === NOTHING_SAID
}

/** Nothing that is left out is said, so that the bucket type has its say. */
function picked(options: object, checks: Readonly<Record<string, Check>>): Options {
  let said: Record<string, unknown> | undefined
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined
    if (value === undefined || check === undefined) continue
    check(name, value)
    said ??= {}
    said[name] = value
  }
  return said ?? NOTHING_SAID
}
