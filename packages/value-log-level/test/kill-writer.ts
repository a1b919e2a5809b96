import { writeSync } from 'node:fs'
import { openAt } from './disk-place.ts'
import { drawFrom } from './sim-disk.ts'
import { countOf, drawWrite, LAST, operationsOf, RESTLESS } from './workload.ts'

const CONCURRENCY = 8

/** Writes until the process is killed, and tells on the standard output which batches are durable. */
export async function writeForEver(place: string): Promise<never> {
  const db = openAt(place, RESTLESS)
  const last = await db.get(LAST)
  let next = countOf(new Map(last === undefined ? [] : [[LAST, Buffer.from(last).toString()]]))
  const work = async (): Promise<never> => {
    for (;;) {
      const index = next++
      const write = drawWrite(index, drawFrom(index))
      await db.batch(operationsOf(write), { sync: write.sync })
      if (write.sync) writeSync(1, `${index}\n`)
    }
  }
  return Promise.race(Array.from({ length: CONCURRENCY }, work))
}
