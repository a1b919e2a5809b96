import { expect, test } from 'vitest'
import { createWorld, DiskCopy, type SimDisk, type SimLevel, type World } from '../src/index.ts'

const SYNC: object = { sync: true }
const NO_SYNC: object = { sync: false }
const IO_ERROR = { code: 'LEVEL_IO_ERROR' }

const opened = async (disk: SimDisk): Promise<SimLevel> => {
  const db = disk.open()
  await db.open()
  return db
}

const keysAfterCrash = async (seed: number, write: (db: SimLevel, world: World) => Promise<unknown>) => {
  const world = createWorld({ seed })
  const disk = world.disk('n1')
  return world.run(async () => {
    await write(await opened(disk), world)
    disk.crash()
    return (await (await opened(disk)).keys().all()).join('')
  })
}

const SEEDS = Array.from({ length: 60 }, (_, seed) => seed)

test('takes virtual time, more for a sync and for many bytes', async () => {
  const world = createWorld({ seed: 1 })
  const disk = world.disk('n1', {
    readMicros: { min: 100, max: 100 },
    writeMicros: { min: 50, max: 50 },
    syncMicros: { min: 500, max: 500 },
    bytesPerMs: 1000,
  })
  await world.run(async () => {
    const db = await opened(disk)
    const spentMs = async (operation: () => Promise<unknown>) => {
      const beforeMs = world.nowMs
      await operation()
      return Math.round((world.nowMs - beforeMs) * 1000) / 1000
    }
    expect(await spentMs(() => db.put('a', 'b'.repeat(9)))).toBe(0.06)
    expect(await spentMs(() => db.put('a', 'b'.repeat(999), SYNC))).toBe(1.5)
    expect(await spentMs(() => db.get('a'))).toBe(1.1)
    expect(await spentMs(() => db.get('none'))).toBe(0.1)
    expect(await spentMs(() => Promise.all([db.get('none'), db.has('none')]))).toBe(0.1)
    expect(await spentMs(() => Promise.all([db.put('b', '', SYNC), db.put('c', '', SYNC)]))).toBe(1.002)
    disk.slow(10)
    expect(await spentMs(() => db.get('none'))).toBe(1)
    disk.heal()
    expect(await spentMs(() => db.get('none'))).toBe(0.1)
  })
})

test('a power cut takes no synced write, and nothing written before one', async () => {
  for (const seed of SEEDS) {
    const keys = await keysAfterCrash(seed, async (db) => {
      await db.put('a', '', NO_SYNC)
      await db.batch([{ type: 'put', key: 'b', value: '' }], SYNC)
    })
    expect(keys).toBe('ab')
  }
})

test('a power cut leaves any prefix of what was not synced, a batch whole or not at all', async () => {
  const seen = new Set<string>()
  for (const seed of SEEDS) {
    const keys = await keysAfterCrash(seed, async (db) => {
      await db.put('a', '', SYNC)
      await db.put('b', '')
      await db.batch([
        { type: 'put', key: 'c', value: '' },
        { type: 'put', key: 'd', value: '' },
      ])
      await db.put('e', '')
    })
    seen.add(keys)
  }
  expect([...seen].toSorted()).toEqual(['a', 'ab', 'abcd', 'abcde'])
})

test('a write under way at a power cut fails, and may have happened', async () => {
  const seen = new Set<string>()
  const outcomes: string[] = []
  for (const seed of SEEDS) {
    const keys = await keysAfterCrash(seed, async (db) => {
      await db.put('a', '', SYNC)
      for (const key of ['b', 'c']) {
        void db.put(key, '', SYNC).then(
          () => outcomes.push('done'),
          (error) => outcomes.push(error.code),
        )
      }
      await Promise.resolve()
    })
    seen.add(keys)
  }
  expect([...seen].toSorted()).toEqual(['a', 'ab'])
  expect(outcomes).toEqual(SEEDS.flatMap(() => ['LEVEL_IO_ERROR', 'LEVEL_IO_ERROR']))
})

test('the handle of before a power cut is of no more use, and can be closed', async () => {
  const world = createWorld({ seed: 1 })
  const disk = world.disk('n1')
  await world.run(async () => {
    const before = await opened(disk)
    await before.put('a', '1', SYNC)
    const reading = before.get('a')
    const iterator = before.iterator()
    disk.crash()
    await expect(reading).rejects.toMatchObject(IO_ERROR)
    await expect(before.get('a')).rejects.toMatchObject(IO_ERROR)
    await expect(before.put('b', '2')).rejects.toMatchObject(IO_ERROR)
    await expect(iterator.next()).rejects.toMatchObject(IO_ERROR)
    expect(() => before.getSync('a')).toThrow(expect.objectContaining(IO_ERROR))
    const after = await opened(disk)
    await before.close()
    expect(await after.get('a')).toBe('1')
    expect(await after.get('b')).toBe(undefined)
    await before.open().then(
      () => expect.fail('two handles were open'),
      (error) => expect(error.cause).toMatchObject({ code: 'LEVEL_LOCKED' }),
    )
    await after.close()
    await before.open()
    expect(await before.get('a')).toBe('1')
  })
})

test('only one handle is open at a time', async () => {
  const world = createWorld({ seed: 1 })
  await world.run(async () => {
    await opened(world.disk('n1'))
    await expect(opened(world.disk('n1'))).rejects.toMatchObject({
      code: 'LEVEL_DATABASE_NOT_OPEN',
      cause: { code: 'LEVEL_LOCKED' },
    })
    await opened(world.disk('n2'))
  })
})

test('the n-th write fails and changes nothing, and so does the n-th read', async () => {
  const world = createWorld({ seed: 1 })
  const disk = world.disk('n1')
  await world.run(async () => {
    const db = await opened(disk)
    disk.failWrites({ after: 1, count: 2 })
    await db.put('a', '1')
    await expect(db.batch([{ type: 'put', key: 'b', value: '1' }])).rejects.toMatchObject(IO_ERROR)
    await expect(db.del('a')).rejects.toMatchObject(IO_ERROR)
    await db.put('c', '1')
    expect(await db.keys().all()).toEqual(['a', 'c'])
    disk.failReads()
    await expect(db.get('a')).rejects.toMatchObject(IO_ERROR)
    expect(await db.get('a')).toBe('1')
    disk.failReads({ count: 5 })
    expect(() => db.getSync('a')).toThrow(expect.objectContaining(IO_ERROR))
    disk.heal()
    expect(db.getSync('a')).toBe('1')
  })
})

test('a full disk takes what does not make it grow', async () => {
  const world = createWorld({ seed: 1 })
  const disk = world.disk('n1')
  await world.run(async () => {
    const db = await opened(disk)
    await db.put('a', '12345')
    disk.fill()
    await expect(db.put('b', '1')).rejects.toMatchObject({
      ...IO_ERROR,
      message: 'disk n1: no space left on device',
    })
    await db.put('a', '54321')
    await db.del('a')
    await db.put('b', '1')
    disk.heal()
    await db.put('c', '1'.repeat(100))
    expect(disk.entries).toBe(2)
    expect(disk.bytes).toBe(103)
  })
})

test('a disk without room but a reserve says so, and takes writes until that is used up', async () => {
  const world = createWorld({ seed: 1 })
  const disk = world.disk('n1')
  await world.run(async () => {
    const db = await opened(disk)
    await db.put('a', '12345')
    expect(db.hasRoom()).toBe(true)
    disk.leaveOnly(10)
    expect(db.hasRoom()).toBe(false)
    await db.put('b', '1')
    await expect(db.put('c', '1'.repeat(10))).rejects.toMatchObject(IO_ERROR)
    await db.del('a')
    expect(db.hasRoom()).toBe(true)
    disk.leaveOnly(10)
    disk.fill(20)
    expect(db.hasRoom()).toBe(true)
    disk.leaveOnly(10)
    disk.heal()
    expect(db.hasRoom()).toBe(true)
    expect(() => disk.leaveOnly(0)).toThrow('spareBytes must be')
  })
})

test('rot flips one bit of a value, in snapshots too, and survives a power cut', async () => {
  const world = createWorld({ seed: 1 })
  const disk = world.disk('n1')
  await world.run(async () => {
    let db = await opened(disk)
    await db.batch(
      ['a', 'b', 'c', 'd'].map((key) => ({ type: 'put', key, value: `value of ${key}` })),
      SYNC,
    )
    await db.put('empty', '', SYNC)
    const snapshot = db.snapshot()
    const rotten = disk.rot(2, ({ key }) => key[0] !== 0x61).map((key) => Buffer.from(key).toString())
    expect(rotten).toHaveLength(2)
    expect(rotten).not.toContain('a')
    const differingBits = (key: string, value: Uint8Array | undefined) => {
      const good = Buffer.from(`value of ${key}`)
      const differing = good.map((byte, at) => byte ^ (value?.[at] ?? 0))
      return [...differing].reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0)
    }
    for (const key of ['a', 'b', 'c', 'd']) {
      const bits = rotten.includes(key) ? 1 : 0
      const view = { valueEncoding: 'view' } as const
      expect(differingBits(key, await db.get<string, Uint8Array>(key, view))).toBe(bits)
      expect(differingBits(key, await db.get<string, Uint8Array>(key, { snapshot, ...view }))).toBe(bits)
    }
    disk.crash()
    db = await opened(disk)
    const [key = ''] = rotten
    expect(differingBits(key, await db.get<string, Uint8Array>(key, { valueEncoding: 'view' }))).toBe(1)
  })
})

test('a replaced disk is empty', async () => {
  const world = createWorld({ seed: 1 })
  const disk = world.disk('n1')
  await world.run(async () => {
    const db = await opened(disk)
    await db.put('a', '1', SYNC)
    disk.wipe()
    await expect(db.get('a')).rejects.toMatchObject(IO_ERROR)
    expect(await (await opened(disk)).keys().all()).toEqual([])
  })
})

test('an operating system writes back by itself when much is unsynced', async () => {
  const world = createWorld({ seed: 1 })
  const disk = world.disk('n1', { maxUnsynced: 3 })
  await world.run(async () => {
    const db = await opened(disk)
    for (let at = 0; at < 10; at++) await db.put(`${at}`, '')
    expect(disk.unsynced).toBe(3)
    disk.crash()
    const keys = await (await opened(disk)).keys().all()
    expect(keys.length).toBeGreaterThanOrEqual(7)
  })
})

test('does not see what happens to memory after a write began, nor lends its own', async () => {
  const world = createWorld({ seed: 1 })
  await world.run(async () => {
    const view = { keyEncoding: 'view', valueEncoding: 'view' } as const
    const db = await opened(world.disk('n1'))
    const [key, value] = [Uint8Array.of(1), Uint8Array.of(2)]
    const writing = db.put(key, value, view)
    key[0] = value[0] = 9
    await writing
    const read = await db.get<Uint8Array, Uint8Array>(Uint8Array.of(1), view)
    expect(read).toEqual(Uint8Array.of(2))
    read?.fill(9)
    expect(await db.get<Uint8Array, Uint8Array>(Uint8Array.of(1), view)).toEqual(Uint8Array.of(2))
  })
})

test('a copy tells what is in it, and one may be made of anything', async () => {
  const world = createWorld({ seed: 1 })
  const disk = world.disk('n1')
  await world.run(async () => {
    const db = await opened(disk)
    await db.batch([
      { type: 'put', key: 'b', value: '2' },
      { type: 'put', key: 'a', value: '1' },
    ])
    await db.close()
    const { entries } = disk.copy()
    expect(entries.map(({ key, value }) => `${Buffer.from(key)}${Buffer.from(value)}`)).toEqual(['a1', 'b2'])
    const [first] = entries
    disk.restore(DiskCopy.of([{ key: Buffer.from('c'), value: Buffer.from('3') }, first!]))
    expect(await (await opened(disk)).iterator().all()).toEqual([
      ['a', '1'],
      ['c', '3'],
    ])
    expect(entries.length).toBe(2)
  })
})
