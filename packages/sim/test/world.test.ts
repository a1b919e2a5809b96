import { expect, test } from 'vitest'
import { createWorld, type World, WorldError } from '../src/index.ts'

const failureOf = (run: Promise<unknown>) =>
  run.then(
    () => expect.fail('expected the run to fail'),
    (error: unknown) => error,
  )

test('runs hours of virtual time at once, timers in order', async () => {
  const world = createWorld({ seed: 1 })
  const { clock } = world.runtime('n1')
  const order: string[] = []
  clock.timer(20, () => order.push('20'))
  clock.timer(10, () => order.push('10 first'))
  clock.timer(10, () => order.push('10 second'))
  clock.timer(15, () => order.push('never')).cancel()
  const spentMs = await world.run(
    async () => {
      const beforeMs = clock.monotonicMs()
      await clock.sleep(1_800_000)
      return clock.monotonicMs() - beforeMs
    },
    { maxVirtualMs: 3_600_000 },
  )
  expect(order).toEqual(['10 first', '10 second', '20'])
  expect(spentMs).toBe(1_800_000)
})

test('an aborted sleep rejects at once and leaves no event', async () => {
  const world = createWorld({ seed: 1 })
  const { clock } = world.runtime('n1')
  const controller = new AbortController()
  await world.run(async () => {
    const sleeping = clock.sleep(1000, { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(sleeping).rejects.toThrow('enough')
  })
  expect(world.nowMs).toBe(0)
})

test('says that a run is stuck, with the end of the timeline', async () => {
  const world = createWorld({ seed: 1, timelineLines: 2 })
  const error = await failureOf(
    world.run(async () => {
      for (let at = 0; at < 5; at++) world.note(`step ${at}`)
      await world.runtime('n1').clock.sleep(5)
      await new Promise(() => {})
    }),
  )
  expect(error).toBeInstanceOf(WorldError)
  expect(error).toMatchObject({ failure: 'deadlock' })
  expect(String(error)).toBe(
    [
      'WorldError: deadlock: nothing is left to happen (virtual time 5.000 ms, 1 events)',
      '(3 earlier lines left out)',
      '       0.000 ms step 3',
      '       0.000 ms step 4',
    ].join('\n  '),
  )
})

test('ends a run that goes on for too long', async () => {
  const forever = (world: World) => async () => {
    for (;;) await world.runtime('n1').clock.sleep(10)
  }
  const slow = createWorld({ seed: 1 })
  expect(await failureOf(slow.run(forever(slow), { maxVirtualMs: 1000 }))).toMatchObject({
    failure: 'virtual-time',
  })
  expect(slow.nowMs).toBe(1000)
  const busy = createWorld({ seed: 1 })
  expect(await failureOf(busy.run(forever(busy), { maxEvents: 50 }))).toMatchObject({ failure: 'events' })
  expect(busy.events).toBe(50)
})

test('fails a run in which an event throws', async () => {
  const thrown = createWorld({ seed: 1 })
  const fault = new Error('a bug')
  const throwing = thrown.run(async () => {
    thrown.schedule(1, 'the bad one', () => {
      throw fault
    })
    await new Promise(() => {})
  })
  expect(await failureOf(throwing)).toMatchObject({
    failure: 'thrown',
    cause: fault,
    message: expect.stringContaining('event "the bad one" threw: a bug'),
  })
})

test('fails a run in which a rejection is handled by nobody', async () => {
  const others = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  try {
    const world = createWorld({ seed: 1 })
    const { clock } = world.runtime('n1')
    const running = world.run(async () => {
      void clock.sleep(5).then(() => Promise.reject(new Error('lost')))
      await clock.sleep(10)
    })
    expect(await failureOf(running)).toMatchObject({ failure: 'unhandled', cause: { message: 'lost' } })
    expect(world.nowMs).toBe(5)
    expect(process.listenerCount('unhandledRejection')).toBe(0)
  } finally {
    for (const listener of others) process.on('unhandledRejection', listener)
  }
})

test('passes on what the run itself rejects with', async () => {
  const world = createWorld({ seed: 1 })
  await expect(world.run(() => Promise.reject(new TypeError('mine')))).rejects.toThrow(TypeError)
})

test('goes on where the last run ended', async () => {
  const world = createWorld({ seed: 1 })
  const { clock } = world.runtime('n1')
  let fired = 0
  const tick = () => {
    fired += 1
    clock.timer(10, tick)
  }
  clock.timer(10, tick)
  await world.run(() => clock.sleep(35))
  expect(fired).toBe(3)
  await world.run(() => clock.sleep(10))
  expect(fired).toBe(4)
})

test('drives itself for those who know nothing of it, and stops when told', async () => {
  const world = createWorld({ seed: 1 })
  const { clock } = world.runtime('n1')
  const drive = world.drive()
  await clock.sleep(1000)
  await new Promise<void>((resolve) => setImmediate(resolve))
  await clock.sleep(1000)
  expect(world.nowMs).toBe(2000)
  const sleeping = clock.sleep(1)
  await drive.stop()
  let woken = false
  void sleeping.then(() => {
    woken = true
  })
  await new Promise<void>((resolve) => setImmediate(resolve))
  expect(woken).toBe(false)
})

test('counts marks of all machines, keeps metrics of each, and writes logs into the timeline', () => {
  const world = createWorld({ seed: 1 })
  const [first, second] = [world.runtime('n1'), world.runtime('n2')]
  first.probe.mark('vnode.committed')
  second.probe.mark('vnode.committed')
  first.metrics.count('puts_total', 2)
  first.log.debug({ at: 1 }, 'left out')
  first.log.warn({ error: new Error('no'), key: Uint8Array.of(1, 255), big: 1n }, 'it failed')
  expect(world.marks).toEqual(new Map([['vnode.committed', 2]]))
  expect(world.runtime('n1').metrics.value('puts_total')).toBe(2)
  expect(second.metrics.value('puts_total')).toBe(0)
  expect(world.timeline()).toEqual([
    '       0.000 ms n1 warn: it failed {"error":"no","key":"01ff","big":"1"}',
  ])
})

test('digests as everywhere', async () => {
  const { digest } = createWorld({ seed: 1 }).runtime('n1')
  const abc = new TextEncoder().encode('abc')
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  expect(hex(digest.sha1(abc))).toBe('a9993e364706816aba3e25717850c26c9cd0d89d')
  expect(digest.crc32(abc)).toBe(0x352441c2)
  expect(digest.crc32(abc.subarray(1), digest.crc32(abc.subarray(0, 1)))).toBe(0x352441c2)
  const md5 = digest.stream('md5')
  await md5.update(abc.subarray(0, 2))
  await md5.update(abc.subarray(2))
  expect(hex(await md5.digest())).toBe('900150983cd24fb0d6963f7d28e17f72')
})

test.each([
  [{ seed: 1.5 }, 'seed must be a safe integer or a string, got 1.5'],
  [{ seed: 1, sed: 2 }, 'createWorld has no option "sed"'],
  [{ seed: 1, timerSlackMs: -1 }, 'timerSlackMs must be an integer from 0'],
  [{ seed: 1, disk: { readMicros: { min: 5, max: 4 } } }, 'readMicros.max must be an integer from 5'],
])('refuses %j', (options, message) => {
  expect(() => createWorld(options)).toThrow(message)
})
