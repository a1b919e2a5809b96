import { HOUR_MS, isAtollError, KiB, type Runtime } from '@atoll/core'
import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { type AtollNode, type Cluster, createCluster, systemRuntime } from '../src/index.ts'

const BLOCK = 4 * KiB
const UPLOADS = 20
const CHUNKS = 8

/** Wall clocks that can be set, over the real ones. */
function wrongClocks() {
  const aheadMs = new Map<string, number>()
  const runtimes: ReturnType<typeof systemRuntime>[] = []
  const runtime = (name: string): Runtime => {
    const real = systemRuntime()
    runtimes.push(real)
    const { clock } = real
    const wallMs = () => clock.wallMs() + (aheadMs.get(name) ?? 0)
    return {
      ...real,
      clock: {
        wallMs,
        monotonicMs: () => clock.monotonicMs(),
        timer: (...timer) => clock.timer(...timer),
        sleep: (...pause) => clock.sleep(...pause),
      },
    }
  }
  return {
    runtime,
    set: (name: string, ms: number) => aheadMs.set(name, ms),
    close: () => Promise.all(runtimes.map((each) => each.close())),
  }
}

/** Differs for every upload, so that no block is anybody else's. */
function bytesOf(upload: number): Uint8Array {
  return new Uint8Array(CHUNKS * BLOCK).map((_, at) => (at * 31 + upload * 7 + (at >> 12)) & 0xff)
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

interface Outcome {
  acknowledged: number
  refused: number
  /** Acknowledged, and not to be read. */
  gone: number
  collected: number
}

interface Story {
  /** Before the first byte, and when each body is half-way. */
  readonly before?: (clocks: ReturnType<typeof wrongClocks>) => void
  readonly halfway?: (clocks: ReturnType<typeof wrongClocks>) => void
  readonly collect: (node: AtollNode) => Promise<{ readonly blocks: number }>
  /** Whether collections go on all the while, or one is made half-way. */
  readonly beside?: boolean
}

async function tell({ before, halfway, collect, beside = false }: Story): Promise<Outcome> {
  const clocks = wrongClocks()
  const outcome: Outcome = { acknowledged: 0, refused: 0, gone: 0, collected: 0 }
  const cluster: Cluster = await createCluster({
    nodes: 3,
    partitions: 8,
    runtime: clocks.runtime,
    storage: () => new MemoryLevel({ keyEncoding: 'view', valueEncoding: 'view' }),
    objects: { blockBytes: BLOCK, inlineBytes: 0 },
  })
  const [writer, collector, reader] = cluster.nodes
  if (writer === undefined || collector === undefined || reader === undefined) throw new Error('three nodes')
  try {
    await writer.objects.createBucket('reef')
    before?.(clocks)
    let waiting = 0
    let goOn = () => {}
    const resumed = new Promise<void>((resolve) => {
      goOn = resolve
    })
    async function* body(upload: number) {
      const bytes = bytesOf(upload)
      for (let chunk = 0; chunk < CHUNKS; chunk++) {
        if (chunk === CHUNKS / 2 && !beside) {
          waiting += 1
          await resumed
        }
        for (let turns = upload % 5; beside && turns > 0; turns--) await turn()
        yield bytes.subarray(chunk * BLOCK, (chunk + 1) * BLOCK)
      }
    }
    const uploads = Array.from({ length: UPLOADS }, (_, upload) =>
      writer.objects.put('reef', `k${upload}`, body(upload), { length: CHUNKS * BLOCK }).then(
        () => 'acknowledged' as const,
        (error: unknown) => {
          if (!isAtollError(error)) throw error
          return 'refused' as const
        },
      ),
    )
    const ended = Promise.all(uploads)
    if (beside) {
      let over = false
      void ended.finally(() => {
        over = true
      })
      while (!over) {
        outcome.collected += (await collect(collector)).blocks
        await turn()
      }
    } else {
      while (waiting < UPLOADS) await turn()
      halfway?.(clocks)
      outcome.collected += (await collect(collector)).blocks
      goOn()
    }
    for (const [upload, how] of (await ended).entries()) {
      outcome[how] += 1
      const isWhole = await readsAs(reader, `k${upload}`, bytesOf(upload))
      if (how === 'acknowledged' && !isWhole) outcome.gone += 1
    }
  } finally {
    await cluster.close()
    await clocks.close()
  }
  return outcome
}

async function readsAs({ objects }: AtollNode, key: string, expected: Uint8Array): Promise<boolean> {
  try {
    const chunks: Uint8Array[] = []
    for await (const chunk of (await objects.get('reef', key)).body) chunks.push(chunk)
    return Buffer.concat(chunks).equals(expected)
  } catch {
    return false
  }
}

const DAY_AND_MORE = 31 * HOUR_MS

test.each<[string, Story]>([
  [
    'a machine that is suspended for 31 hours, while another one collects',
    {
      // Its own monotonic clock has stood.
      halfway: ({ set }) => ['n1', 'n2', 'n3'].map((name) => set(name, DAY_AND_MORE)),
      collect: ({ objects }) => objects.collect(),
    },
  ],
  [
    'clocks of which most are 30 hours fast, that of the collector among them',
    {
      before: ({ set }) => ['n2', 'n3'].map((name) => set(name, 30 * HOUR_MS)),
      collect: ({ objects }) => objects.collect(),
      beside: true,
    },
  ],
  [
    "a writer's clock that is 31 hours slow",
    {
      before: ({ set }) => set('n1', -DAY_AND_MORE),
      collect: ({ objects }) => objects.collect(),
      beside: true,
    },
  ],
  [
    'a collection for a time in microseconds',
    { collect: ({ objects }) => objects.collect({ now: Date.now() * 1000 }) },
  ],
])('nothing that was acknowledged is gone by %s', async (_name, story) => {
  const outcome = await tell(story)
  expect(outcome.acknowledged + outcome.refused).toBe(UPLOADS)
  expect(outcome.gone).toBe(0)
  // The collection has met uploads under way: else this shows nothing.
  expect(outcome.collected).toBeGreaterThan(0)
})
