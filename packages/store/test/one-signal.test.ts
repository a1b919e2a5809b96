import { expect, test } from 'vitest'
import { openCluster } from '../src/index.ts'

const CALLS = 40
const LARGE = 100_000

test('one signal for many calls at once brings no warning, and an abort ends them all', async () => {
  await using cluster = await openCluster({ nodes: 3 })
  const { objects } = cluster.node(1)
  await objects.createBucket('reef')
  const warnings: string[] = []
  const onWarning = ({ name, message }: Error) => warnings.push(`${name}: ${message}`)
  process.on('warning', onWarning)
  try {
    const { signal } = new AbortController()
    const all = <T>(call: (n: number) => Promise<T>) =>
      Promise.all(Array.from({ length: CALLS }, (_, n) => call(n)))
    await all((n) => objects.put('reef', `small-${n}`, Uint8Array.of(n), { signal }))
    await all((n) => objects.put('reef', `large-${n}`, new Uint8Array(LARGE).fill(n), { signal }))
    const lengths = await all(async (n) => {
      const { body } = await objects.get('reef', `large-${n}`, { signal })
      let bytes = 0
      for await (const chunk of body) bytes += chunk.length
      return bytes
    })
    expect(new Set(lengths)).toEqual(new Set([LARGE]))
    await all((n) => objects.head('reef', `small-${n}`, { signal }))
    await all(() => objects.list('reef', { signal }))
    const stopping = new AbortController()
    const cut = all((n) =>
      objects.put('reef', `cut-${n}`, endless(stopping.signal), { signal: stopping.signal }),
    )
    setImmediate(() => stopping.abort())
    await expect(cut).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
    // Node tells of warnings when the turn is over.
    await new Promise((resolve) => setImmediate(resolve))
    expect(warnings).toEqual([])
  } finally {
    process.off('warning', onWarning)
  }
})

async function* endless(signal: AbortSignal): AsyncGenerator<Uint8Array> {
  while (!signal.aborted) {
    yield new Uint8Array(1000)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
