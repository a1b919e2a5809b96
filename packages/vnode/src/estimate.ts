import { BINARY, readBytes, reading } from './database.ts'
import type { VnodeLayout } from './layout.ts'
import type { Database } from './ports.ts'

const CHUNK = 1000
/** Records that are looked at; evenly over the keys, which lie by bucket type: large values here, small ones there. */
const SAMPLES = 64

/** Bytes of the records of a vnode, from the number of its keys and the size of some. Reads every key. */
export async function estimateBytes(database: Database, layout: VnodeLayout): Promise<number> {
  const { count, sample } = await sampleKeys(database, layout)
  let bytes = 0
  for (const key of sample) bytes += key.length + ((await readBytes(database, key))?.length ?? 0)
  return sample.length === 0 ? 0 : Math.round((bytes / sample.length) * count)
}

/** Every so many-th key, from SAMPLES / 2 to SAMPLES of them: the stride doubles whenever the sample is full. */
function sampleKeys(database: Database, layout: VnodeLayout) {
  return reading(async () => {
    const iterator = database.keys({ ...BINARY, ...layout.dataRange })
    let [count, stride] = [0, 1]
    let sample: Uint8Array[] = []
    try {
      for (;;) {
        const keys = await iterator.nextv(CHUNK)
        if (keys.length === 0) return { count, sample }
        for (const key of keys) {
          if (count++ % stride !== 0) continue
          sample.push(key)
          if (sample.length < SAMPLES) continue
          sample = sample.filter((_, at) => at % 2 === 0)
          stride *= 2
        }
      }
    } finally {
      await iterator.close()
    }
  })
}
