import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Fifo } from '../src/fifo.ts'

test('a queue does what an array does', () => {
  const steps = fc.array(fc.constantFrom('push', 'push', 'shift', 'peek', 'burst', 'drain'), {
    maxLength: 60,
  })
  fc.assert(
    fc.property(steps, (all) => {
      const fifo = new Fifo<number>()
      const model: number[] = []
      let next = 0
      const push = () => {
        fifo.push(next)
        model.push(next++)
      }
      const shift = () => {
        const [got, wanted] = [fifo.shift(), model.shift()]
        if (got !== wanted) expect(got).toBe(wanted)
      }
      for (const step of all) {
        if (step === 'push') push()
        else if (step === 'shift') shift()
        else if (step === 'peek') expect(fifo.peek()).toBe(model[0])
        else for (let count = 0; count < 700; count++) step === 'burst' ? push() : shift()
        expect(fifo.length).toBe(model.length)
      }
    }),
  )
})
