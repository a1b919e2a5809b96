import { isAtollError, messageOf, type Runtime, returnBuffer, storageFailure } from '@atoll/core'
import type { Database } from '@atoll/vnode'

type WriteBytes = NonNullable<Database['batchBytes']>
type LentOperation = Parameters<WriteBytes>[0][number]

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const
/** For how long bytes may lie where whoever writes them has them, in ms. */
const LENT_MS = 3

/**
 * Takes batches of bytes as a value log does: they are read where they lie when their turn to be written comes, and not
 * copied before. After one that has failed none is written that builds on it.
 */
export function readingLate(database: Database, { clock, random }: Runtime): Database {
  let turn: Promise<unknown> = Promise.resolve()
  const write = async (...[operations, { sync, chain }]: Parameters<WriteBytes>) => {
    await clock.sleep(random.below(LENT_MS + 1))
    if (chain.failure !== undefined) throw chain.failure
    try {
      await database.batch(operations.map(joined), { ...VIEW, sync })
    } catch (error) {
      const failure = isAtollError(error) ? error : storageFailure(messageOf(error), error)
      chain.failure ??= failure
      throw failure
    }
  }
  const batchBytes: WriteBytes = (...request) => {
    const writing = turn.then(() => write(...request))
    turn = writing.catch(() => {})
    return writing
  }
  return Object.assign(database, { batchBytes })
}

/** In one batch of so many. */
const EARLY_ONE_IN = 8

/** Now and then what is lent to a batch is given back when that begins, so that others get it before it is on the disk. */
export function returningEarly(database: Database, { random }: Runtime): Database {
  const batchBytes = database.batchBytes?.bind(database)
  if (batchBytes === undefined) return database
  const early: WriteBytes = (operations, options) => {
    const writing = batchBytes(operations, options)
    if (random.below(EARLY_ONE_IN) > 0) return writing
    for (const operation of operations) if (operation.type === 'put') returnBuffer(operation.value)
    return writing
  }
  return Object.assign(database, { batchBytes: early })
}

/** As a database without values in two parts takes it. */
function joined(operation: LentOperation): LentOperation {
  if (operation.type === 'del' || operation.tail === undefined) return operation
  const { type, key, value, tail } = operation
  return { type, key, value: Buffer.concat([value, tail]) }
}
