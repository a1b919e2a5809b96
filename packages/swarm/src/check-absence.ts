import { describeOperation, type Operation, type Violation } from '@atoll/sim'
import { type Confirmed, isFirm } from './confirmations.ts'

export interface Absences {
  /**
   * Writes, and reads of which no value means that nothing was there. A deletion that said so is among them two times: as
   * itself, and as a read that began when it did.
   */
  readonly operations: readonly Operation[]
  readonly confirmed: ReadonlyMap<Operation, Confirmed>
  /** Whether a deletion that came before a write may count as the later one, since clocks were wrong. */
  readonly skewed: boolean
}

/**
 * Nothing is said to be absent that is there: that so many primaries had on disk when it was acknowledged that any read
 * has to meet one of them, and that nobody has deleted since. Whatever goes wrong meanwhile.
 */
export function checkAbsence({ operations, confirmed, skewed }: Absences): Violation[] {
  const denials = operations.filter(
    ({ kind, outcome, value }) => kind === 'get' && outcome === 'ok' && !value,
  )
  return denials.flatMap((read) => {
    const same = operations.filter(({ key }) => key === read.key)
    const deletions = same.filter(
      ({ kind, outcome, began }) =>
        kind === 'delete' && outcome !== 'fail' && began < read.ended && began !== read.began,
    )
    const there = same.find((write) => {
      if (!isKept(write, confirmed.get(write)) || write.ended >= read.began) return false
      return deletions.every(
        (deletion) => !skewed && deletion.outcome === 'ok' && deletion.ended < write.began,
      )
    })
    if (there === undefined) return []
    const message = `${read.client} was told at ${read.beganMs.toFixed(3)} ms that there is nothing, and ${there.client} has written ${there.value} by ${there.endedMs?.toFixed(3)} ms`
    return [{ rule: 'false-absence', key: read.key, message }]
  })
}

function isKept({ kind, outcome }: Operation, confirmed: Confirmed | undefined): boolean {
  const isWrite = kind === 'put' || kind === 'add'
  return isWrite && outcome === 'ok' && confirmed !== undefined && isFirm(confirmed)
}

/** The bucket was there before anybody asked for anything, and nobody deletes it. */
export function checkBucketThere(saidNoBucket: readonly Operation[]): Violation[] {
  return saidNoBucket.map((operation) => ({
    rule: 'false-absence',
    key: operation.key,
    message: `${describeOperation(operation)} was told that there is no bucket`,
  }))
}

/** What a listing names was put, and that put did not certainly fail. */
export function checkListed(operations: readonly Operation[]): Violation[] {
  const puts = operations.filter(({ kind, outcome }) => kind === 'put' && outcome !== 'fail')
  return operations.flatMap((list) => {
    if (list.kind !== 'list' || list.outcome !== 'ok') return []
    const named = (list.value ?? '').split(' ').filter((key) => key !== '')
    const ghosts = named.filter((name) => !puts.some(({ key, began }) => key === name && began < list.ended))
    return ghosts.map((key) => ({
      rule: 'false-listing',
      key,
      message: `${list.client} was given it at ${list.beganMs.toFixed(3)} ms, and nobody had put it`,
    }))
  })
}
