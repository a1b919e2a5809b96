import { describe, expect, it } from 'vitest'
import { SharedReads } from '../src/shared-reads.ts'
import { manualRuntime } from './manual-runtime.ts'

/** Reads that end when they are told to, each with the number of its beginning. */
function reads() {
  const runtime = manualRuntime()
  const begun: { readonly name: string; end(): void; fail(error: Error): void }[] = []
  const shared = new SharedReads<number>(runtime.clock, (name) => {
    const number = begun.length
    return new Promise((resolve, reject) => {
      begun.push({ name, end: () => resolve(number), fail: reject })
    })
  })
  const asked = (name = 'a') => shared.get(name)
  return { runtime, begun, asked }
}

describe('shared reads', () => {
  it('begin at once where nobody reads, and serve all who ask meanwhile with one more', async () => {
    const { begun, asked } = reads()
    const first = asked()
    const others = [asked(), asked(), asked()]
    expect(begun).toHaveLength(1)
    begun[0]?.end()
    expect(await first).toBe(0)
    expect(begun).toHaveLength(2)
    const late = asked()
    begun[1]?.end()
    expect(await Promise.all(others)).toEqual([1, 1, 1])
    begun[2]?.end()
    expect(await late).toBe(2)
    const again = asked()
    begun[3]?.end()
    expect(await again).toBe(3)
  })

  it('keep names apart', async () => {
    const { begun, asked } = reads()
    const both = [asked('a'), asked('b')]
    for (const read of begun) read.end()
    expect(await Promise.all(both)).toEqual([0, 1])
    expect(begun.map(({ name }) => name)).toEqual(['a', 'b'])
  })

  it('fail all who share the read that failed, and nobody else', async () => {
    const { begun, asked } = reads()
    const outcomes = Promise.allSettled([asked(), asked(), asked()])
    begun[0]?.end()
    await Promise.resolve().then(() => {})
    begun[1]?.fail(new Error('lost'))
    const lost = { status: 'rejected', reason: new Error('lost') }
    expect(await outcomes).toEqual([{ status: 'fulfilled', value: 0 }, lost, lost])
    const after = asked()
    begun[2]?.end()
    expect(await after).toBe(2)
  })

  it('are not held up by one that hangs', async () => {
    const { runtime, begun, asked } = reads()
    const hanging = asked()
    const waiting = asked()
    runtime.advance(11)
    const late = asked()
    begun[1]?.end()
    expect(await Promise.all([waiting, late])).toEqual([1, 1])
    begun[0]?.end()
    expect(await hanging).toBe(0)
    const after = asked()
    begun[2]?.end()
    expect(await after).toBe(2)
    expect(begun).toHaveLength(3)
  })
})
