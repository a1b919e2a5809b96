import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Compiled, compile } from '../../transport-tcp/test/compiled.ts'
import type {} from './processes/child.ts'
import { Client, Tally } from './processes/client.ts'
import { drawFrom } from './processes/draw.ts'
import { Fleet } from './processes/fleet.ts'
import { Harm } from './processes/harm.ts'
import { FAULTS, IS_MEASURED, type Measures, Storm, until } from './processes/storm.ts'

/** A release is tested with 150 and more: `ATOLL_STORM_SECONDS=150`. */
const SECONDS = Number(process.env['ATOLL_STORM_SECONDS'] ?? 1)
const SEED = Number(process.env['ATOLL_STORM_SEED'] ?? 4)
const CHILD = 'test/processes/child.ts'
const NODES = ['n1', 'n2', 'n3', 'n4', 'n5']
const CLIENTS = 4
/** Objects of each client: in the end each is read at every node. */
const KEYS = SECONDS < 10 ? 8 : 30
/** In the short form no time is left for long ones. */
const LONGEST_STOP_MS = SECONDS < 10 ? 3000 : 8000
const NOTICED_MS = 3000
const LOOK_MS = 50

let compiled: Compiled
let fleet: Fleet
beforeAll(() => {
  compiled = compile('packages/store', ['src/index.ts', CHILD])
  fleet = new Fleet(compiled.path(CHILD))
})
afterAll(async () => {
  await fleet.end()
  compiled.remove()
})

test(
  'five processes are killed, stopped and cut off, and lose nothing',
  async () => {
    await fleet.begin(NODES, { cables: ['n1', 'n2', 'n3'] })
    await fleet.node('n2').ask('commit')
    await until('the data is spread, and all know it', 150_000, areSettled)
    await fleet.node('n3').ask('createBucket')
    const draw = drawFrom(SEED)
    const harm = new Harm()
    const tally = new Tally()
    const clients = Array.from(
      { length: CLIENTS },
      (_, at) => new Client(`c${at}`, { fleet, harm, tally, keys: KEYS }, drawFrom(SEED + at)),
    )
    const storm = new Storm({ fleet, harm, tally, clients, draw, longestStopMs: LONGEST_STOP_MS })
    for (const client of clients) client.start()
    const startedMs = performance.now()
    try {
      await storm.rage(SECONDS)
    } finally {
      for (const client of clients) await client.stop()
    }
    const seconds = (performance.now() - startedMs) / 1000
    await storm.whole()
    const objects = new Map(clients.flatMap(({ acknowledged }) => [...acknowledged]))
    const wrong = await readAll(objects)
    if (IS_MEASURED) report({ seconds, objects: objects.size, tally, measures: storm.measures })
    expect(wrong).toEqual([])
    expect(tally.failures).toEqual([])
    expect(tally.wrong).toEqual([])
    expect(objects.size).toBeGreaterThan(10)
    for (const noticedMs of [...storm.measures.deathsNoticedMs, ...storm.measures.stopsNoticedMs])
      if (IS_MEASURED) expect(noticedMs).toBeLessThan(NOTICED_MS + LOOK_MS)
  },
  (SECONDS + 600) * 1000,
)

/** A node that did not know where the data has moved would look for it where it was. */
async function areSettled(): Promise<boolean> {
  const layouts = await Promise.all(NODES.map((name) => fleet.node(name).ask('layout')))
  return layouts.every(({ epoch, pendingMoves }) => epoch === layouts[0]?.epoch && pendingMoves === 0)
}

/** Reads every object at every node; answers which are not what was acknowledged last. */
async function readAll(objects: ReadonlyMap<string, string>): Promise<readonly string[]> {
  const wrong: string[] = []
  const readAt = async (name: string) => {
    for (const [key, digest] of objects) {
      const read = await fleet
        .node(name)
        .ask('get', key)
        .catch((error: Error) =>
          error.message.includes('ATOLL_OBJECT_NOT_FOUND') ? 'absent' : error.message,
        )
      if (read !== digest) wrong.push(`${key} at ${name}: ${read} instead of ${digest}`)
    }
  }
  await Promise.all(fleet.names.map(readAt))
  return wrong
}

interface Report {
  readonly seconds: number
  readonly objects: number
  readonly tally: Tally
  readonly measures: Measures
}

function report({ seconds, objects, tally, measures }: Report): void {
  const faults = FAULTS.map((fault) => `${fault} ${measures.faults.filter((one) => one === fault).length}`)
  const lines = [
    `seed ${SEED}, ${seconds.toFixed(0)} s; ${faults.join(', ')}`,
    `${tally.puts} puts of ${(tally.bytes / 2 ** 20).toFixed(0)} MiB, ${tally.gets} gets, ${tally.deletes} deletes of ${objects} keys`,
    `failed ${tally.failures.length}, stale ${tally.wrong.length}, interrupted with their node ${tally.interrupted}, slowest ${tally.slowestMs.toFixed(0)} ms`,
    `death noticed by all after ${spread(measures.deathsNoticedMs)}`,
    `standstill noticed by all after ${spread(measures.stopsNoticedMs)}`,
    `open again after ${spread(measures.reopenedMs)}`,
    `whole again after ${spread(measures.wholeMs)}`,
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

function spread(values: readonly number[]): string {
  if (values.length === 0) return '(none of these)'
  const sorted = [...values].sort((a, b) => a - b).map(Math.round)
  return `${sorted[sorted.length >> 1]} ms (median), ${sorted.at(-1)} ms (most)`
}
