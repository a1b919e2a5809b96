import { describe, expect, test } from 'vitest'
import { AtollError, writeFenceOf } from '../src/index.ts'

/** A database of which each write ends when the test says so. */
function handDatabase() {
  const listeners: (() => void)[] = []
  const writes: { readonly resolve: () => void; readonly reject: (error: unknown) => void }[] = []
  return {
    supports: { permanence: true },
    once: (_: 'closed', listener: () => void) => listeners.push(listener),
    close: () => {
      for (const listener of listeners.splice(0)) listener()
    },
    write: () => new Promise<void>((resolve, reject) => writes.push({ resolve, reject })),
    writes,
  }
}

function fenceOf(database: Parameters<typeof writeFenceOf>[0]) {
  const fence = writeFenceOf(database)
  if (fence === undefined) throw new Error('this database needs a fence')
  return fence
}

const IO_ERROR = Object.assign(new Error('IO error: /data/000003.log: File too large'), {
  code: 'LEVEL_IO_ERROR',
})
const REFUSED = { code: 'ATOLL_STORAGE', definite: true, transient: true, details: { reason: 'reopen' } }

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
}

describe('the fence of a database', () => {
  test('passes nothing on after a failed write until the database was closed', async () => {
    const database = handDatabase()
    const fence = fenceOf(database)
    const failing = fence.run(database.write)
    database.writes[0]?.reject(IO_ERROR)
    await expect(failing).rejects.toBe(IO_ERROR)
    await expect(fence.run(database.write)).rejects.toMatchObject({ ...REFUSED, cause: IO_ERROR })
    expect(database.writes).toHaveLength(1)
    database.close()
    const again = fence.run(database.write)
    database.writes[1]?.resolve()
    await again
  })

  test('names a full disk', async () => {
    const database = handDatabase()
    const fence = fenceOf(database)
    const failing = fence.run(database.write)
    database.writes[0]?.reject(new Error('IO error: No space left on device'))
    await expect(failing).rejects.toThrow('No space')
    await expect(fence.run(database.write)).rejects.toMatchObject({ code: 'ATOLL_DISK_FULL', definite: true })
  })

  test.each(['first', 'last'])(
    'acknowledges no write beside one that fails, if that fails %s',
    async (when) => {
      const database = handDatabase()
      const fence = fenceOf(database)
      const [failing, beside] = [fence.run(database.write), fence.run(database.write)]
      const outcomes: string[] = []
      failing.catch(() => outcomes.push('failed'))
      const done = beside.then(
        () => outcomes.push('acknowledged'),
        (error) => outcomes.push(`${error.code} ${error.definite} ${error.transient}`),
      )
      if (when === 'first') database.writes[0]?.reject(IO_ERROR)
      database.writes[1]?.resolve()
      await settle()
      if (when === 'last') {
        expect(outcomes).toEqual([])
        database.writes[0]?.reject(IO_ERROR)
      }
      await done
      expect(outcomes).toEqual(['failed', 'ATOLL_STORAGE false true'])
    },
  )

  test('acknowledges writes beside each other when all are through', async () => {
    const database = handDatabase()
    const fence = fenceOf(database)
    const all = Promise.all([1, 2, 3].map(() => fence.run(database.write)))
    for (const { resolve } of database.writes) resolve()
    expect(await all).toHaveLength(3)
  })

  test('is that of the whole database, for all of its sublevels', async () => {
    const database = handDatabase()
    const [one, other] = [{ parent: { parent: database } }, { parent: database }]
    const failing = fenceOf(one).run(database.write)
    database.writes[0]?.reject(IO_ERROR)
    await expect(failing).rejects.toBe(IO_ERROR)
    await expect(fenceOf(other).run(database.write)).rejects.toMatchObject(REFUSED)
    await expect(fenceOf(database).run(database.write)).rejects.toMatchObject(REFUSED)
  })

  test.each([
    [
      'a database that was not open',
      Object.assign(new Error('not open'), { code: 'LEVEL_DATABASE_NOT_OPEN' }),
    ],
    ['a wrong argument', new TypeError('a key must be bytes')],
    ['a database that knows that nothing was written', new AtollError('ATOLL_OVERLOADED', 'too much')],
  ])('takes no offence at %s', async (_, error) => {
    const database = handDatabase()
    const fence = fenceOf(database)
    const failing = fence.run(database.write)
    database.writes[0]?.reject(error)
    await expect(failing).rejects.toBe(error)
    expect(fence.failure).toBeUndefined()
  })

  test('is not there for a database that needs none', () => {
    expect(writeFenceOf({ supports: { permanence: false } })).toBeUndefined()
    expect(writeFenceOf({ supports: { permanence: true }, safeAfterFailedWrite: true })).toBeUndefined()
    expect(writeFenceOf({ parent: { safeAfterFailedWrite: true } })).toBeUndefined()
  })
})
