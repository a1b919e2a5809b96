import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { AtollError, codeOf, isBytes, isDiskFull, isError, isPromise, messageOf } from '../src/index.ts'

const of = (code: string): unknown => runInNewContext(code, { DOMException })

describe('values of any realm', () => {
  it.each(["new Error('no')", "new TypeError('no')", "Object.assign(new Error('no'), { code: 'ENOENT' })"])(
    'an error: %s',
    (code) => {
      expect(of(code) instanceof Error).toBe(false)
      expect(isError(of(code))).toBe(true)
      expect(messageOf(of(code))).toBe('no')
    },
  )

  it('errors of this realm, and reasons of signals', () => {
    for (const error of [
      new RangeError('no'),
      new AtollError('ATOLL_CLOCK', 'no'),
      AbortSignal.abort().reason,
    ])
      expect(isError(error)).toBe(true)
  })

  it.each(['undefined', 'null', "'Error'", "({ name: 'Error', message: 'no' })", '[]', '(() => {})'])(
    'neither error, bytes nor promise: %s',
    (code) => {
      const value = of(code)
      expect([isError(value), isBytes(value), isPromise(value), codeOf(value)]).toEqual([
        false,
        false,
        false,
        undefined,
      ])
    },
  )

  it('bytes, which the other views are not', () => {
    expect([Buffer.from('a'), new Uint8Array(1), of('new Uint8Array(1)')].map(isBytes)).toEqual([
      true,
      true,
      true,
    ])
    const others = ['new Uint16Array(1)', 'new DataView(new ArrayBuffer(1))', 'new ArrayBuffer(1)']
    expect([...others.map(of), new Int8Array(1), [1]].map(isBytes)).toEqual([
      false,
      false,
      false,
      false,
      false,
    ])
  })

  it('promises, which what has a `then` is not', () => {
    expect([Promise.resolve(), of('Promise.resolve()')].map(isPromise)).toEqual([true, true])
    // biome-ignore lint/suspicious/noThenProperty: this is what is told apart
    expect(isPromise({ then: () => {} })).toBe(false)
  })

  it('codes, and a full disk below', () => {
    const full = of("new Error('write', { cause: Object.assign(new Error('no'), { code: 'ENOSPC' }) })")
    expect(codeOf(of("Object.assign(new Error('no'), { code: 'ENOENT' })"))).toBe('ENOENT')
    expect(isDiskFull(full)).toBe(true)
  })
})
