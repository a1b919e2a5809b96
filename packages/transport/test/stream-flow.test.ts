import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ReceiveFlow, SendFlow } from '../src/stream-flow.ts'

describe('flow control', () => {
  test('never lets a writer wait for good, nor send more than the window', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 30 })
    const setup = fc.record({
      windowBytes: fc.integer({ min: 512, max: 8192 }),
      chunkBytes: fc.integer({ min: 64, max: 4096 }),
      writes: sizes,
      // After each chunk: how many queued chunks the reader takes.
      reads: fc.array(fc.nat(3), { minLength: 1, maxLength: 20 }),
    })
    fc.assert(
      fc.property(setup, ({ windowBytes, chunkBytes, writes, reads }) => {
        const sender = new SendFlow(windowBytes, chunkBytes)
        const receiver = new ReceiveFlow(windowBytes)
        const queue: number[] = []
        let [step, held] = [0, 0]
        const read = () => {
          const bytes = queue.shift() ?? 0
          held -= bytes
          if (bytes > 0 && receiver.consumed(bytes)) sender.granted(receiver.limit)
        }
        for (let left = writes.reduce((sum, bytes) => sum + bytes, 0); left > 0; ) {
          const bytes = sender.next(left)
          if (bytes === 0) {
            if (queue.length === 0) expect.fail('a writer without credit has no unread chunk to wait for')
            read()
            continue
          }
          const arrival = receiver.arrived(sender.offset, bytes)
          if (arrival !== 'take') expect.fail(`arrived as ${arrival}`)
          sender.sent(bytes)
          queue.push(bytes)
          held += bytes
          left -= bytes
          if (held > windowBytes) expect.fail(`${held} bytes are held`)
          for (let times = reads[step++ % reads.length] ?? 0; times > 0; times--) read()
        }
        expect(receiver.offset).toBe(sender.offset)
      }),
    )
  })

  test('tells repeated chunks from missing ones, and from too many', () => {
    const receiver = new ReceiveFlow(1000)
    expect(receiver.arrived(0, 10)).toBe('take')
    expect(receiver.arrived(0, 10)).toBe('repeat')
    expect(receiver.arrived(11, 10)).toBe('gap')
    expect(receiver.arrived(10, 0)).toBe('repeat')
    expect(receiver.arrived(10, 1000)).toBe('overrun')
    expect(receiver.offset).toBe(10)
  })

  test('charges for chunks as well as for bytes, so that single bytes cannot fill the memory', () => {
    const sender = new SendFlow(4096, 1024)
    let chunks = 0
    for (; sender.next(1) > 0; chunks++) sender.sent(1)
    expect(chunks).toBeLessThanOrEqual(4096 / 64)
  })

  test('an older grant that comes late takes nothing back', () => {
    const sender = new SendFlow(1000, 400)
    sender.granted(2000)
    sender.granted(1500)
    for (let count = 0; count < 4; count++) sender.sent(400)
    expect(sender.next(72)).toBe(72)
    expect(sender.next(400)).toBe(0)
  })
})
