import { AtollError, equalBytes, toHex } from '@atoll/core'
import type { Checkpoint, Pairing } from './checkpoint.ts'

/** How a log and its inner database may fail to be of one piece: `details.reason` of the error. */
export type PairingFault =
  | 'index-missing'
  | 'index-older'
  | 'log-missing'
  | 'log-older'
  | 'other-log'
  | 'diverged'

const WHAT_TO_DO =
  'Put back the log and its index as they were copied together, or remove both to begin with nothing. No data was changed.'

/**
 * Throws `ATOLL_FORMAT` unless the inner database is as this log has left it. The log notes a checkpoint after the inner
 * database has it, so that a crash may leave it one behind: that is no other copy.
 */
export function checkPaired(label: string, note: Pairing, checkpoint: Checkpoint): void {
  if (!equalBytes(note.identity, checkpoint.identity)) {
    const ids = `${toHex(note.identity)} and ${toHex(checkpoint.identity)}`
    throw unpaired('other-log', `${label} and its index belong to different logs: ${ids}`)
  }
  const { number } = checkpoint
  const numbers = `the index is at checkpoint ${number}, the log at ${note.number}`
  if (number < note.number)
    throw unpaired('index-older', `the index of ${label} is an older copy: ${numbers}`)
  if (number > note.number + 1) throw unpaired('log-older', `${label} is an older copy: ${numbers}`)
  const isSame = equalBytes(note.salt, checkpoint.salt)
  const isNext = number === note.number + 1 && equalBytes(note.salt, checkpoint.previousSalt)
  if (isSame || isNext) return
  throw unpaired(
    'diverged',
    `${label} and its index are copies that were used apart from each other: ${numbers}`,
  )
}

export function unpaired(reason: PairingFault, what: string): AtollError {
  return new AtollError('ATOLL_FORMAT', `${what}. ${WHAT_TO_DO}`, { details: { reason } })
}
