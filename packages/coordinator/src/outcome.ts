import { AtollError, type AtollErrorCode, isAtollError, isDiskFull, messageOf } from '@atoll/core'
import type { Failure, ReadTally } from './get-machine.ts'
import type { WriteTally } from './put-machine.ts'
import type { ReadQuorum, WriteQuorum } from './quorum.ts'
import type { CoverGap } from './scan-cover.ts'
import { isUnable } from './unable.ts'

/** Too few replicas are there to begin: nothing was asked of any. `down` are the primaries that are not up. */
export function impossible(
  what: string,
  counts: Readonly<Record<string, number>>,
  down: readonly string[],
): AtollError {
  const facts = Object.entries(counts).map(([name, value]) => `${name} ${value}`)
  const message = `too few replicas for ${what}: ${[...said('down', down), ...facts].join(', ')}`
  return new AtollError('ATOLL_QUORUM_IMPOSSIBLE', message, { details: { ...counts, down } })
}

export interface FailedRead {
  readonly quorum: Pick<ReadQuorum, 'n' | 'r' | 'pr' | 'absence'>
  readonly tally: ReadTally
  readonly failures: readonly Failure[]
  /** Primaries that were not asked. */
  readonly down: readonly string[]
  /** Whether the record is lost as far as its primaries know: all were heard, none has it whole, and one has it damaged. */
  readonly isCorrupt: boolean
  readonly timedOut: boolean
}

/**
 * A read that its quorum was not met for. `details` has the counts, `needed` what they fell short of, and who is missing:
 * `down` were not asked, `unreachable` cannot serve, `silent` have not answered.
 */
export function unmetRead(read: FailedRead): AtollError {
  const { quorum, tally, failures, down, isCorrupt, timedOut } = read
  const { n, r, pr, absence } = quorum
  const errors = failures.flatMap(({ error }) => (error === undefined ? [] : [error]))
  const missing = missingOf(down, failures, isUnable)
  const options = {
    cause: errors[0],
    definite: true,
    details: { ...tally, needed: { n, r, pr, absence }, ...missing },
  }
  if (isCorrupt)
    return new AtollError('ATOLL_CORRUPT', 'every replica answered, and none has an undamaged copy', options)
  const counts = [
    ...(tally.behind === 0 ? [] : [`${tally.behind} restored and not caught up yet`]),
    `${tally.found} found`,
    `${tally.missing} missing`,
    `${tally.corrupt} corrupt`,
    `${tally.failed} failed of ${n}`,
  ]
  const facts = [...counts, ...namesIn(missing)].join(', ')
  const message = `read quorum not met (r ${r}, pr ${pr}): ${facts}${because(errors[0])}`
  return new AtollError(codeOf(errors, timedOut), message, options)
}

/** Who did not serve a request, and how. */
interface Missing {
  /** Primaries that were not asked. */
  readonly down: readonly string[]
  /** Those that cannot serve. */
  readonly unreachable: readonly string[]
  /** Those that have not answered. */
  readonly silent: readonly string[]
}

function missingOf(
  down: readonly string[],
  failures: readonly Failure[],
  isGone: (error: AtollError) => boolean,
): Missing {
  const unreachable = namesOf(failures, (error) => error !== undefined && isGone(error))
  const silent = namesOf(failures, (error) => error === undefined)
  return { down, unreachable, silent }
}

function namesIn({ down, unreachable, silent }: Missing): readonly string[] {
  return [...said('down', down), ...said('unreachable', unreachable), ...said('silent', silent)]
}

function namesOf(failures: readonly Failure[], isSo: (error: AtollError | undefined) => boolean): string[] {
  return failures.filter(({ error }) => isSo(error)).map(({ node }) => node)
}

/** `down: n2 n3`, or nothing of nobody. */
function said(what: string, nodes: readonly string[]): string[] {
  return nodes.length === 0 ? [] : [`${what}: ${nodes.join(' ')}`]
}

export interface FailedWrite {
  readonly quorum: WriteQuorum
  readonly tally: WriteTally
  readonly failures: readonly Failure[]
  /** Primaries that were not asked. */
  readonly down: readonly string[]
  readonly timedOut: boolean
  /** True if the write certainly happened nowhere. */
  readonly definite: boolean
}

/**
 * A write that its quorum was not met for: `rejected` if it certainly happened nowhere, and else of `unknown` outcome,
 * for no replica takes back what it has. Where all replicas refused the write for one reason, that is the code; a reason
 * of their own is only why the quorum was not met. Who is missing is named as for a read.
 */
export function unmetWrite({ quorum, tally, failures, down, timedOut, definite }: FailedWrite): AtollError {
  const { n, w, dw, pw } = quorum
  const errors = failures.flatMap(({ error }) => (error === undefined ? [] : [error]))
  // A node with a full disk is there, and has said so.
  const missing = missingOf(down, failures, (error) => isUnable(error) && !isDiskFull(error))
  const { accepted, durable, primaries, failed } = tally
  const outcome = definite ? 'rejected' : 'unknown'
  const counts = `${accepted} accepted, ${durable} durable, ${primaries} on primaries, ${failed} failed of ${n}`
  const facts = [counts, ...namesIn(missing)].join(', ')
  const refused = definite && !errors.some(isUnable) ? commonCode(errors) : undefined
  const code = refused ?? codeOf(errors, timedOut)
  const [cause] = errors
  // Why they all refused it is for the caller to know.
  const reason =
    cause?.code === code && cause.details['reason'] !== undefined ? { reason: cause.details['reason'] } : {}
  return new AtollError(code, `write ${outcome} (w ${w}, dw ${dw}, pw ${pw}): ${facts}${because(cause)}`, {
    cause,
    definite,
    details: { outcome, ...reason, ...tally, needed: { n, w, dw, pw }, ...missing },
  })
}

function because(cause: AtollError | undefined): string {
  return cause === undefined ? '' : `; the first said: ${cause.message}`
}

/** A slice of a scan is left without the replicas that it needs; `cause` is why, if they were lost on the way. */
export function uncovered({ down, ...counts }: CoverGap, cause?: AtollError): AtollError {
  const what = counts.absence === 'primaries' ? 'primaries' : 'replicas'
  const few = `${counts.primaries} primaries and ${counts.reachable - counts.primaries} fallbacks`
  const message =
    `too few ${what} for a scan: of the ${counts.n} nodes that hold partition ${counts.slice}, ` +
    `${down.join(' ')} cannot be asked; ${few} can, and it needs ${Math.max(counts.r, counts.pr)} ${what}`
  const options = { definite: true, details: { ...counts, down } }
  if (cause === undefined) return new AtollError('ATOLL_QUORUM_IMPOSSIBLE', message, options)
  return new AtollError(codeOf([cause], false), `${message}: ${cause.message}`, { ...options, cause })
}

export function timedOutScan(timeoutMs: number, cause: AtollError | undefined): AtollError {
  return new AtollError('ATOLL_TIMEOUT', `the scan took longer than ${timeoutMs} ms`, {
    cause,
    definite: true,
  })
}

export function aborted(signal: AbortSignal, definite: boolean): AtollError {
  return new AtollError('ATOLL_ABORTED', 'the call was aborted', { cause: signal.reason, definite })
}

/** Replicas reject with an `AtollError`; anything else is a fault of theirs, of unknown effect. */
export function asAtollError(error: unknown): AtollError {
  return isAtollError(error) ? error : new AtollError('ATOLL_STORAGE', messageOf(error), { cause: error })
}

/** That all disks are full is for whoever can make room; that some replicas cannot is why a quorum is not met. */
function codeOf(errors: readonly AtollError[], timedOut: boolean): AtollErrorCode {
  const common = commonCode(errors)
  if (timedOut || common === 'ATOLL_TIMEOUT') return 'ATOLL_TIMEOUT'
  return common === 'ATOLL_DISK_FULL' ? common : 'ATOLL_QUORUM_UNMET'
}

function commonCode(errors: readonly AtollError[]): AtollErrorCode | undefined {
  const code = errors[0]?.code
  return errors.every((error) => error.code === code) ? code : undefined
}
