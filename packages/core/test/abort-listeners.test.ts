import { expect, test } from 'vitest'
import { ignoreAbort, listenToAbort } from '../src/index.ts'

/** A signal that counts the listeners of its own. */
function counted() {
  const controller = new AbortController()
  const { signal } = controller
  const own = { count: 0 }
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)]
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    own.count += 1
    add(...args)
  }
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    own.count -= 1
    remove(...args)
  }
  return { controller, signal, own }
}

test('any number of callers take one listener of a signal, and none when the last one has gone', () => {
  const { signal, own } = counted()
  const callbacks = Array.from({ length: 100 }, () => () => {})
  for (const callback of callbacks) listenToAbort(signal, callback)
  expect(own.count).toBe(1)
  for (const callback of callbacks.slice(1)) ignoreAbort(signal, callback)
  expect(own.count).toBe(1)
  ignoreAbort(signal, callbacks[0]!)
  ignoreAbort(signal, callbacks[0]!)
  expect(own.count).toBe(0)
  listenToAbort(signal, callbacks[0]!)
  expect(own.count).toBe(1)
})

test('all are called once, in the order in which they came', () => {
  const { controller, signal } = counted()
  const called: number[] = []
  for (let n = 0; n < 5; n++) listenToAbort(signal, () => called.push(n))
  controller.abort()
  controller.abort()
  expect(called).toEqual([0, 1, 2, 3, 4])
})

test('whoever ends listening while others are called is not called', () => {
  const { controller, signal } = counted()
  const called: string[] = []
  const last = () => called.push('last')
  listenToAbort(signal, () => {
    called.push('first')
    ignoreAbort(signal, last)
    listenToAbort(signal, () => called.push('too late'))
  })
  listenToAbort(signal, last)
  controller.abort()
  expect(called).toEqual(['first'])
})

test('what one throws stops no other', () => {
  const called: string[] = []
  /** A signal that lets its aborter hear what a listener throws. */
  let abort = () => {}
  const signal = Object.assign(new AbortController().signal, {
    addEventListener: (_: string, listener: () => void) => {
      abort = listener
    },
  })
  const failing = (name: string) => () => {
    called.push(name)
    throw new Error(name)
  }
  for (const name of ['a', 'b', 'c']) listenToAbort(signal, failing(name))
  expect(abort).toThrow('c')
  expect(called).toEqual(['a', 'b', 'c'])
})

test('where there is no signal nothing happens', () => {
  listenToAbort(undefined, () => {})
  ignoreAbort(undefined, () => {})
})
