import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Compiled, compile } from '../../transport-tcp/test/compiled.ts'
import { digestOf } from './processes/bodies.ts'
import type {} from './processes/child.ts'
import type { Body } from './processes/commands.ts'
import { Fleet } from './processes/fleet.ts'
import { until } from './processes/storm.ts'
import { type Stock, StreamOfReads } from './processes/stream-of-reads.ts'

const CHILD = 'test/processes/child.ts'
/** As for the storm: `ATOLL_STORM_SECONDS=150` makes it longer, and tells the counts. */
const IS_SHORT = process.env['ATOLL_STORM_SECONDS'] === undefined
const NODES = ['n1', 'n2', 'n3', 'n4', 'n5']
const VICTIM = 'n2'
/** Longer than a node waits before it calls another one dead. */
const FROZEN_MS = IS_SHORT ? 5000 : 8000
const AFTERWARDS_MS = 2000
const RESETS = IS_SHORT ? 2 : 8
const RESET_MS = 1500
const EVERY_MS = 25
const PATIENCE_MS = 150_000
const NOTHING: Body = { seed: 0, bytes: 0 }
const HONEST = / ATOLL_(QUORUM_UNMET|QUORUM_IMPOSSIBLE|TIMEOUT)$/
const LONG_MS = 600_000

let compiled: Compiled
let fleet: Fleet
beforeAll(async () => {
  compiled = compile('packages/store', ['src/index.ts', CHILD])
  fleet = new Fleet(compiled.path(CHILD))
  await fleet.begin(NODES, { cables: NODES })
  await fleet.node('n1').ask('commit')
  await until('the data is spread, and all know it', PATIENCE_MS, async () => {
    const layouts = await Promise.all(NODES.map((name) => fleet.node(name).ask('layout')))
    return layouts.every(({ epoch, pendingMoves }) => epoch === layouts[0]?.epoch && pendingMoves === 0)
  })
  await fleet.node('n1').ask('createBucket')
}, LONG_MS)
afterAll(async () => {
  await fleet.end()
  compiled.remove()
})

async function stockOf(name: string): Promise<Stock> {
  const bodies = (kind: string, count: number) =>
    Array.from({ length: count }, (_, at): [string, Body] => [
      `${name}-${kind}-${at}`,
      { seed: at, bytes: 1000 + 500 * at },
    ])
  const [kept, doomed] = [bodies('kept', 40), bodies('doomed', 80)]
  await Promise.all([...kept, ...doomed].map(([key, body]) => fleet.node('n1').ask('put', key, body)))
  return { kept: new Map(kept), doomed: doomed.map(([key]) => key) }
}

const pause = (forMs: number) => new Promise((resolve) => setTimeout(resolve, forMs))

function report(reads: StreamOfReads): void {
  if (process.env['ATOLL_STORM_SECONDS'] === undefined) return
  const slowest = [...reads.slowestMs].map(([label, ms]) => `${label}: slowest ${Math.round(ms)} ms`)
  const parts = { wrong: reads.wrong, failed: reads.failures, right: reads.right, slowest }
  for (const [name, lines] of Object.entries(parts))
    process.stdout.write(`${[name, ...lines].join('\n  ')}\n`)
}

/** Whoever has lost its connections may say that it does not know, and nothing else. */
function expectHonest(reads: StreamOfReads): void {
  report(reads)
  expect(reads.wrong).toEqual([])
  expect(reads.failures.filter((line) => !HONEST.test(line))).toEqual([])
}

async function readAll(stock: Stock): Promise<void> {
  const isRead = async (name: string, key: string) =>
    (await fleet.node(name).ask('get', key)) === digestOf(stock.kept.get(key) ?? NOTHING)
  await until('every node sees every other', PATIENCE_MS, async () => {
    const seen = await Promise.all(NODES.map((name) => fleet.node(name).ask('up')))
    return seen.every((up) => up.length === NODES.length)
  })
  for (const name of NODES)
    expect(await Promise.all([...stock.kept.keys()].map((key) => isRead(name, key)))).not.toContain(false)
}

test(
  'while a process stands still and when it goes on, nobody takes for absent what is there',
  async () => {
    let when = 'before'
    const stock = await stockOf('frozen')
    const reads = new StreamOfReads(fleet, stock, (node) =>
      node === VICTIM ? `at ${node} ${when}` : `elsewhere ${when}`,
    )
    reads.start(EVERY_MS)
    await pause(500)
    when = 'while it stands still'
    fleet.node(VICTIM).pause()
    await pause(FROZEN_MS)
    when = 'after it goes on'
    fleet.node(VICTIM).resume()
    await pause(AFTERWARDS_MS)
    await reads.stop()
    expectHonest(reads)
    // Lists and deletions need what only it may know until it is given up, and may have no time left then.
    expect(reads.failures.filter((line) => line.startsWith('get elsewhere'))).toEqual([])
    await readAll(stock)
  },
  LONG_MS,
)

test(
  'when all connections break and no process is harmed, nobody takes for absent what is there',
  async () => {
    const stock = await stockOf('broken')
    const reads = new StreamOfReads(fleet, stock, () => 'while connections break')
    reads.start(EVERY_MS)
    for (let reset = 0; reset < RESETS; reset++) {
      await pause(RESET_MS)
      for (const name of NODES) fleet.cable(name)?.cut()
      for (const name of NODES) fleet.cable(name)?.mend()
    }
    await pause(RESET_MS)
    await reads.stop()
    expectHonest(reads)
    await readAll(stock)
  },
  LONG_MS,
)
