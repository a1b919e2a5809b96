import { describe, expect, it } from 'vitest'
import { sleepOn } from '../src/index.ts'

/** A clock of which the test turns the hands. */
class HandClock {
  readonly timers: { readonly delayMs: number; readonly fire: () => void; cancelled: boolean }[] = []

  timer(delayMs: number, fire: () => void) {
    const timer = { delayMs, fire, cancelled: false }
    this.timers.push(timer)
    return {
      cancel: () => {
        timer.cancelled = true
      },
    }
  }
}

describe('sleep', () => {
  it('lasts until the timer fires', async () => {
    const clock = new HandClock()
    let awake = false
    const sleep = sleepOn(clock, 50).then(() => {
      awake = true
    })
    await Promise.resolve()
    expect(awake).toBe(false)
    expect(clock.timers.map(({ delayMs }) => delayMs)).toEqual([50])
    clock.timers[0]?.fire()
    await sleep
    expect(awake).toBe(true)
  })

  it('ends with the reason of an abort, and gives its timer back', async () => {
    const clock = new HandClock()
    const controller = new AbortController()
    const sleep = sleepOn(clock, 50, { signal: controller.signal })
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(sleep).rejects.toBe(reason)
    expect(clock.timers[0]?.cancelled).toBe(true)
  })

  it('does not begin if the signal is aborted already', async () => {
    const clock = new HandClock()
    await expect(sleepOn(clock, 50, { signal: AbortSignal.abort('before') })).rejects.toBe('before')
    expect(clock.timers).toEqual([])
  })

  it('forgets its signal when it is over', async () => {
    const clock = new HandClock()
    const { signal, listeners } = countedSignal()
    const sleep = sleepOn(clock, 50, { signal })
    expect(listeners()).toBe(1)
    clock.timers[0]?.fire()
    await sleep
    expect(listeners()).toBe(0)
  })
})

/** A signal that knows how many listen to it: one that lives as long as the program must not gather listeners. */
function countedSignal() {
  const { signal } = new AbortController()
  const listening = new Set<unknown>()
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (type: string, listener: () => void) => {
    listening.add(listener)
    add(type, listener)
  }
  signal.removeEventListener = (type: string, listener: () => void) => {
    listening.delete(listener)
    remove(type, listener)
  }
  return { signal, listeners: () => listening.size }
}
