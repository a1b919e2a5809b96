import { describe, expect, test } from 'vitest'
import { AtollError, quietLog, Reopener, RetryLoop, type Timer } from '../src/index.ts'

/** Timers that fire when the test says so. */
function handClock() {
  const timers: { readonly delayMs: number; readonly fire: () => void }[] = []
  const timer = (delayMs: number, fire: () => void): Timer => {
    const one = { delayMs, fire }
    timers.push(one)
    return {
      cancel: () => {
        if (timers.includes(one)) timers.splice(timers.indexOf(one), 1)
      },
    }
  }
  const fire = async () => {
    timers.shift()?.fire()
    await settle()
  }
  return { clock: { timer }, fire, delays: () => timers.map(({ delayMs }) => delayMs) }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
}

describe('a retry loop', () => {
  const delays = { firstDelayMs: 10, longestDelayMs: 30 }

  test('waits twice as long before each attempt, up to the longest, and ends by the first that succeeds', async () => {
    const { clock, fire, delays: waiting } = handClock()
    const outcomes = [false, new Error('it throws'), false, true]
    const loop = new RetryLoop(clock, {
      ...delays,
      attempt: async () => {
        const outcome = outcomes.shift()
        if (outcome instanceof Error) throw outcome
        return outcome === true
      },
    })
    loop.start()
    loop.start()
    const seen = [waiting()]
    for (let attempt = 0; attempt < 4; attempt++) {
      await fire()
      seen.push(waiting())
    }
    expect(seen).toEqual([[10], [20], [30], [30], []])
    loop.start()
    expect(waiting()).toEqual([10])
  })

  test('tries again what was started while it was tried, though that has succeeded', async () => {
    const { clock, fire, delays: waiting } = handClock()
    const ends: ((isDone: boolean) => void)[] = []
    const attempt = () => new Promise<boolean>((resolve) => ends.push(resolve))
    const loop = new RetryLoop(clock, { ...delays, attempt })
    loop.start()
    await fire()
    ends.shift()?.(false)
    await settle()
    await fire()
    loop.start()
    ends.shift()?.(true)
    await settle()
    expect(waiting()).toEqual([10])
    await fire()
    ends.shift()?.(true)
    await settle()
    expect(waiting()).toEqual([])
  })

  test('has one timer, whatever is called while an attempt is under way', async () => {
    const { clock, fire, delays: waiting } = handClock()
    const ends: ((isDone: boolean) => void)[] = []
    const attempt = () => new Promise<boolean>((resolve) => ends.push(resolve))
    const loop = new RetryLoop(clock, { ...delays, attempt })
    loop.start()
    await fire()
    expect(ends).toHaveLength(1)
    // A new failure begins while the last attempt of the one before is under way.
    loop.stop()
    loop.start()
    loop.now()
    loop.now()
    expect(waiting()).toEqual([])
    ends[0]?.(false)
    await settle()
    expect([waiting(), ends.length]).toEqual([[], 2])
    ends[1]?.(false)
    await settle()
    expect(waiting()).toEqual([20])
    loop.stop()
    expect(waiting()).toEqual([])
    await loop.ended()
  })
})

describe('a reopener', () => {
  function make(parts: Partial<ConstructorParameters<typeof Reopener>[0]>) {
    const hand = handClock()
    const seen: string[] = []
    const reopener = new Reopener({
      runtime: { clock: hand.clock, log: quietLog },
      label: 'the database',
      freeBytes: async () => undefined,
      reopen: async () => void seen.push('reopen'),
      onReopened: () => seen.push('reopened'),
      ...parts,
    })
    return { ...hand, reopener, seen }
  }

  test('opens once more what fails again while it is opened', async () => {
    const [first, second] = ['first', 'second'].map((text) => new AtollError('ATOLL_STORAGE', text))
    const seen: unknown[] = []
    const { reopener, fire } = make({
      reopen: async () => {
        seen.push(reopener.failure)
        if (seen.length === 1) reopener.failed(second)
      },
    })
    reopener.failed(first)
    await fire()
    expect(reopener.failure).toBe(second)
    await fire()
    expect(seen).toEqual([first, second])
    expect(reopener.failure).toBeUndefined()
  })

  test.each([0, 1, 2, 3, 4, 5])('opens once more what fails %i turns after it was opened', async (turns) => {
    const again = new AtollError('ATOLL_STORAGE', 'again')
    let opened = 0
    const { reopener, fire, delays, seen } = make({
      onReopened: () => {
        opened += 1
        if (opened === 1) void failIn(turns)
      },
    })
    const failIn = async (left: number): Promise<void> => {
      for (let turn = 0; turn < left; turn++) await Promise.resolve()
      reopener.failed(again)
    }
    reopener.failed(new Error('it broke'))
    const [firstDelayMs] = delays()
    await fire()
    expect([reopener.failure, delays()]).toEqual([again, [firstDelayMs]])
    await fire()
    expect([reopener.failure, delays(), seen]).toEqual([undefined, [], ['reopen', 'reopen']])
  })

  test('leaves a database on a full disk open, for reads, until there is room to open it', async () => {
    let free = 1000
    const { reopener, fire, seen } = make({ freeBytes: async () => free })
    reopener.failed(new Error('write 4: No space left on device'))
    await fire()
    expect(seen).toEqual([])
    free = 1e9
    await fire()
    expect(seen).toEqual(['reopen', 'reopened'])
    // Whatever the reason, if it is no full disk.
    free = 0
    reopener.failed(new Error('it broke'))
    await fire()
    expect(seen).toEqual(['reopen', 'reopened', 'reopen', 'reopened'])
  })

  test('that is stopped waits for what is on its way, and tries no more', async () => {
    let end = () => {}
    const { reopener, fire, delays, seen } = make({
      reopen: () =>
        new Promise((resolve) => {
          end = resolve
        }),
    })
    reopener.failed(new Error('it broke'))
    await fire()
    let isStopped = false
    const stopping = reopener.stop().then(() => {
      isStopped = true
    })
    await settle()
    expect(isStopped).toBe(false)
    end()
    await stopping
    reopener.failed(new Error('again'))
    expect([delays(), reopener.failure, seen]).toEqual([[], undefined, ['reopened']])
  })
})
