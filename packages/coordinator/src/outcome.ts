import { AtollError, type ErrorCode, isAtollError, messageOf } from '@atoll/core'
import type { ReadTally } from './get-machine.ts'
import type { WriteTally } from './put-machine.ts'
import type { ReadQuorum, WriteQuorum } from './quorum.ts'
import type { CoverGap } from './scan-cover.ts'
import { isUnable } from './unable.ts'

/** Too few replicas are there to begin: nothing was asked of any. */
export function impossible(what: string, details: Readonly<Record<string, number>>): AtollError {
  const facts = Object.entries(details).map(([name, value]) => `${name} ${value}`)
  return new AtollError('ATOLL_QUORUM_IMPOSSIBLE', `too few replicas for ${what}: ${facts.join(', ')}`, {
    details,
  })
}

export interface FailedRead {
  readonly quorum: Pick<ReadQuorum, 'n' | 'r' | 'pr'>
  readonly tally: ReadTally
  readonly errors: readonly AtollError[]
  readonly timedOut: boolean
}

/** A read that its quorum was not met for. `details` has the counts, and `needed` what they fell short of. */
export function unmetRead({ quorum, tally, errors, timedOut }: FailedRead): AtollError {
  const { n, r, pr } = quorum
  const { found, missing, corrupt, failed } = tally
  const counts = `${found} found, ${missing} missing, ${corrupt} corrupt, ${failed} failed of ${n}`
  return new AtollError(codeOf(errors, timedOut), `read quorum not met (r ${r}, pr ${pr}): ${counts}`, {
    cause: errors[0],
    definite: true,
    details: { ...tally, needed: { n, r, pr } },
  })
}

export interface FailedWrite {
  readonly quorum: WriteQuorum
  readonly tally: WriteTally
  readonly errors: readonly AtollError[]
  readonly timedOut: boolean
  /** True if the write certainly happened nowhere. */
  readonly definite: boolean
}

/**
 * A write that its quorum was not met for: `rejected` if it certainly happened nowhere, and else of `unknown` outcome,
 * for no replica takes back what it has. Where all replicas refused the write for one reason, that is the code; a reason
 * of their own is only why the quorum was not met.
 */
export function unmetWrite({ quorum, tally, errors, timedOut, definite }: FailedWrite): AtollError {
  const { n, w, dw, pw } = quorum
  const { accepted, durable, primaries, failed } = tally
  const outcome = definite ? 'rejected' : 'unknown'
  const counts = `${accepted} accepted, ${durable} durable, ${primaries} on primaries, ${failed} failed of ${n}`
  const refused = definite && !errors.some(isUnable) ? commonCode(errors) : undefined
  const code = refused ?? codeOf(errors, timedOut)
  return new AtollError(code, `write ${outcome} (w ${w}, dw ${dw}, pw ${pw}): ${counts}`, {
    cause: errors[0],
    definite,
    details: { outcome, ...tally, needed: { n, w, dw, pw } },
  })
}

/** A slice of a scan is left without the replicas that it needs; `cause` is why, if they were lost on the way. */
export function uncovered(gap: CoverGap, cause?: AtollError): AtollError {
  const { slice } = gap
  const details = { ...gap }
  if (cause === undefined) return impossible('a scan', details)
  const message = `scan lost its replicas of slice ${slice}: ${cause.message}`
  return new AtollError(codeOf([cause], false), message, { cause, definite: true, details })
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

function codeOf(errors: readonly AtollError[], timedOut: boolean): ErrorCode {
  return timedOut || commonCode(errors) === 'ATOLL_TIMEOUT' ? 'ATOLL_TIMEOUT' : 'ATOLL_QUORUM_UNMET'
}

function commonCode(errors: readonly AtollError[]): ErrorCode | undefined {
  const code = errors[0]?.code
  return errors.every((error) => error.code === code) ? code : undefined
}
