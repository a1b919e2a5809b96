import { checkWrites, type Operation, type Violation } from '@atoll/sim'

/**
 * A read sees every write that was acknowledged before it began, or one that came after that: reads and writes of a
 * majority always meet. A write that was under way during the read may be seen or not.
 */
export function checkFreshness(operations: readonly Operation[]): Violation[] {
  return operations.flatMap((read) =>
    read.kind === 'get' && read.outcome === 'ok' ? checkRead(read, operations) : [],
  )
}

function checkRead(read: Operation, operations: readonly Operation[]): Violation[] {
  const known = writesBefore(read, operations)
  if (known.length === 0) return []
  return checkWrites(known, new Map([[read.key, read.value]])).map(({ key, message }) => {
    return {
      rule: 'stale-read',
      key,
      message: `${read.client} read at ${read.beganMs.toFixed(3)} ms: ${message}`,
    }
  })
}

const LOOKS: readonly Operation['kind'][] = ['get', 'list', 'folders']

/** What a reader may know of, as it looked then. A deletion that says that there was nothing did not make it so. */
function writesBefore(read: Operation, operations: readonly Operation[]): Operation[] {
  return operations
    .filter(({ kind, key, began }) => !LOOKS.includes(kind) && key === read.key && began < read.ended)
    .filter(({ began }) => began !== read.began)
    .map((write) =>
      write.outcome === 'ok' && write.ended > read.began ? { ...write, outcome: 'unknown' } : write,
    )
}

/** Of a listing: a key that it leaves out was read as absent. */
export function absencesOf(operations: readonly Operation[], keys: readonly string[]): Operation[] {
  return operations.flatMap((list) => {
    if (list.kind !== 'list' || list.outcome !== 'ok') return []
    const listed = new Set((list.value ?? '').split(' '))
    const absent = keys.filter((key) => !listed.has(key))
    return absent.map((key): Operation => ({ ...list, kind: 'get', key, value: undefined }))
  })
}

/** Of a look at a set: every element that was added before is in it. */
export function checkSetFreshness(operations: readonly Operation[]): Violation[] {
  const adds = operations.filter(({ kind, outcome }) => kind === 'add' && outcome === 'ok')
  return operations.flatMap((read) => {
    if (read.kind !== 'get' || read.outcome !== 'ok') return []
    const seen = new Set((read.value ?? '').split(' '))
    const missed = adds.filter(
      ({ key, value = '', ended }) => key === read.key && ended < read.began && !seen.has(value),
    )
    return missed.map(({ key, value }) => {
      const message = `${read.client} read at ${read.beganMs.toFixed(3)} ms and did not see ${value}`
      return { rule: 'stale-set', key, message }
    })
  })
}
