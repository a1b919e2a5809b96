import { afterEach, expect, test, vi } from 'vitest'
import { createWorld, type World } from '../src/index.ts'

/** Timers, chance, disks with a power cut, and promises that race: a bit of everything that must replay. */
async function sample(world: World): Promise<void> {
  const workers = ['n1', 'n2', 'n3'].map(async (name) => {
    const { clock, random, log, digest } = world.runtime(name)
    const disk = world.disk(name)
    let db = disk.open()
    await db.open()
    for (let round = 0; round < 30; round++) {
      const key = `key ${random.below(10)}`
      const value = `${random.below(1000)}`
      const sync: object = { sync: random.below(2) === 0 }
      await Promise.race([db.put(key, value, sync), clock.sleep(random.below(3))])
      const seen = await db.iterator({ limit: 5 }).all()
      log.info({ seen, sum: digest.crc32(random.bytes(4)), wall: clock.wallMs() }, 'round')
      if (round === 20) {
        disk.crash()
        db = disk.open()
        await db.open()
      }
      await clock.sleep(random.below(20))
    }
    await db.close()
  })
  await Promise.all(workers)
}

const hashOf = async (seed: number) => {
  const world = createWorld({ seed, timerSlackMs: 1 })
  await world.run(() => sample(world))
  return world.traceHash()
}

afterEach(() => vi.unstubAllGlobals())

test('the same seed leaves the same trace, another seed another one', async () => {
  const hash = await hashOf(7)
  expect(await hashOf(7)).toBe(hash)
  expect(await hashOf(8)).not.toBe(hash)
})

test('worlds that run side by side do not disturb each other', async () => {
  const alone = await hashOf(7)
  expect(await Promise.all([hashOf(7), hashOf(9), hashOf(7)])).toEqual([alone, expect.any(String), alone])
})

test('nothing in it asks for real time or real chance', async () => {
  const world = createWorld({ seed: 7 })
  const used: string[] = []
  const forbid = (name: string) => () => {
    used.push(name)
    throw new Error(`${name} is not of this world`)
  }
  for (const name of ['setTimeout', 'setInterval', 'setImmediate', 'fetch']) vi.stubGlobal(name, forbid(name))
  vi.stubGlobal('Math', Object.create(Math, { random: { value: forbid('Math.random') } }))
  vi.stubGlobal('performance', { now: forbid('performance.now') })
  vi.stubGlobal('crypto', {
    getRandomValues: forbid('crypto'),
    randomUUID: forbid('crypto'),
    subtle: undefined,
  })
  vi.stubGlobal('Date', Object.assign(forbid('Date'), { now: forbid('Date.now') }))
  await world.run(() => sample(world))
  vi.unstubAllGlobals()
  expect(used).toEqual([])
  expect(world.events).toBeGreaterThan(300)
})
