import { expect, test } from 'vitest'
import {
  createWorld,
  type Fault,
  Nemesis,
  type NetworkPort,
  type NodesPort,
  type World,
  waitForQuiet,
} from '../src/index.ts'

/** A cluster that only keeps a log of what is done to it, with a database on the disk of each node. */
function setUp() {
  const world = createWorld({ seed: 1 })
  const log: string[] = []
  const at = (text: string) => log.push(`${Math.round(world.nowMs)}: ${text}`)
  const network: NetworkPort = {
    partition: (a, b, options) => at(`partition ${[...a]} ${[...b]} ${options?.oneWay}`),
    configure: ({ lossPerMillion, delayMs }) => at(`loss ${lossPerMillion} delay ${delayMs?.max}`),
    reset: (hit) => at(`reset ${[...hit]}`),
    freeze: (node) => at(`network freezes ${node}`),
    thaw: () => {},
    heal: () => at('network heals'),
  }
  const nodes: NodesPort = {
    crash: async (name) => {
      at(`${name} crashes`)
      world.disk(name).crash()
    },
    stop: async (name) => {
      at(`${name} stops`)
      world.disk(name).crash()
    },
    restart: async (name) => {
      at(`${name} starts`)
      const db = world.disk(name).open()
      await db.open()
    },
  }
  return { world, log, nemesis: new Nemesis(world, { network, nodes }) }
}

async function fill(world: World, name: string): Promise<void> {
  const db = world.disk(name).open()
  for (const key of ['a', 'b', 'c']) await db.put(key, key.repeat(8), { sync: true } as object)
}

test('begins and ends each fault in its time', async () => {
  const { world, log, nemesis } = setUp()
  const partition: Fault = { kind: 'partition', groupA: ['n1'], groupB: ['n2', 'n3'], oneWay: true }
  const weather: Fault = { kind: 'weather', lossPerMillion: 7, duplicatePerMillion: 0, maxDelayMs: 9 }
  await world.run(() =>
    nemesis.rage([
      { fromMs: 10, untilMs: 40, fault: partition },
      { fromMs: 20, untilMs: 30, fault: weather },
      { fromMs: 25, untilMs: 50, fault: { kind: 'crash', node: 'n2' } },
    ]),
  )
  expect(log).toEqual([
    '10: network heals',
    '10: loss 0 delay 1',
    '10: partition n1 n2,n3 true',
    '20: network heals',
    '20: loss 0 delay 1',
    '20: partition n1 n2,n3 true',
    '20: loss 7 delay 9',
    '25: n2 crashes',
    '30: network heals',
    '30: loss 0 delay 1',
    '30: partition n1 n2,n3 true',
    '40: network heals',
    '40: loss 0 delay 1',
    '50: n2 starts',
  ])
  expect(world.timeline()[0]).toContain('nemesis begins {"kind":"partition"')
})

test('hurts disks and clocks, and heals what it hurt', async () => {
  const { world, nemesis } = setUp()
  await world.run(async () => {
    for (const name of ['n1', 'n2']) await fill(world, name)
    const faults: Fault[] = [
      { kind: 'skew', node: 'n1', offsetMs: -5000 },
      { kind: 'drift', node: 'n2', ppm: 500 },
      { kind: 'full-disk', node: 'n1' },
      { kind: 'crash', node: 'n2' },
    ]
    for (const fault of faults) await nemesis.begin(fault)
    expect(world.clockOf('n1').wallMs()).toBeLessThan(world.clockOf('n3').wallMs() - 4000)
    await world.clockOf('n3').sleep(100_000)
    expect(world.clockOf('n2').wallMs()).toBeGreaterThan(world.clockOf('n3').wallMs() + 40)
    await nemesis.heal()
    const walls = ['n1', 'n2', 'n3'].map((name) => world.clockOf(name).wallMs())
    expect(new Set(walls).size).toBe(1)
  })
})

test('stops machines: what is due there waits, and a suspended one has lost hours', async () => {
  const { world, log, nemesis } = setUp()
  await world.run(async () => {
    for (const name of ['n1', 'n2']) await fill(world, name)
    const fired: string[] = []
    const note = (name: string) => fired.push(`${name} ${Math.round(world.nowMs - startMs)}`)
    const startMs = world.nowMs
    const clocks = ['n1', 'n2', 'n3'].map((name) => world.clockOf(name))
    const bootMs = clocks.map((clock) => clock.monotonicMs())
    for (const [at, clock] of clocks.entries()) clock.timer(100, () => note(`n${at + 1}`))
    const cancelled = world.clockOf('n1').timer(50, () => note('cancelled'))
    const sync: object = { sync: true }
    const written = world
      .disk('n2')
      .open()
      .put('d', 'd', sync)
      .catch(() => {})
    await nemesis.rage([
      { fromMs: 20, untilMs: 520, fault: { kind: 'freeze', node: 'n1' } },
      { fromMs: 40, untilMs: 540, fault: { kind: 'suspend', node: 'n2', lapseMs: 3_600_000 } },
      { fromMs: 200, untilMs: 201, fault: { kind: 'reset', nodes: ['n1', 'n3'] } },
    ])
    cancelled.cancel()
    await written
    await world.clockOf('n3').sleep(100)
    expect(fired).toEqual(['n3 100', 'cancelled 520', 'n1 520', 'n2 600'])
    const elapsed = clocks.map((clock, at) => Math.round(clock.monotonicMs() - (bootMs[at] ?? 0)))
    expect(elapsed).toEqual([640, 140, 640])
    expect(new Set(clocks.map((clock) => clock.wallMs())).size).toBe(1)
    expect(clocks[0]?.wallMs()).toBeGreaterThan(1_700_003_600_000)
  })
  expect(log.slice(-3).map((line) => line.replace(/^\d+: /, ''))).toEqual([
    'network freezes n1',
    'network freezes n2',
    'reset n1,n3',
  ])
})

test('puts an older copy of a disk back', async () => {
  const { world, nemesis } = setUp()
  await world.run(async () => {
    await fill(world, 'n1')
    const restore: Fault = { kind: 'restore', node: 'n1', orderly: true }
    await nemesis.begin(restore)
    world.disk('n1').crash()
    await world
      .disk('n1')
      .open()
      .put('later', 'x', { sync: true } as object)
    expect(world.disk('n1').entries).toBe(4)
    await nemesis.end(restore)
    expect(world.disk('n1').entries).toBe(3)
  })
})

test('lets ports throw, fills all disks, and ends that', async () => {
  const { world, nemesis } = setUp()
  await world.run(async () => {
    for (const name of ['n1', 'n2']) await fill(world, name)
    const { log, metrics } = world.runtime('n1')
    const ports: Fault = { kind: 'throwing-ports', node: 'n1', permille: 1000 }
    const disks: Fault = { kind: 'full-disks', nodes: ['n1', 'n2'] }
    for (const fault of [ports, disks]) await nemesis.begin(fault)
    expect(() => log.info({}, 'x')).toThrow('a port of n1 throws')
    expect(() => metrics.count('x')).toThrow('a port of n1 throws')
    world.runtime('n2').metrics.count('x')
    for (const name of ['n1', 'n2']) {
      world.disk(name).crash()
      await expect(world.disk(name).open().put('more', 'x')).rejects.toThrow('no space left')
    }
    await nemesis.end(disks)
    const scarce: Fault = { kind: 'scarce-disks', nodes: ['n2'], spareBytes: 100 }
    await nemesis.begin(scarce)
    world.disk('n2').crash()
    const db = world.disk('n2').open()
    expect(db.hasRoom()).toBe(false)
    await db.put('more', 'x')
    await nemesis.end(scarce)
    expect(db.hasRoom()).toBe(true)
    await nemesis.heal()
    log.info({}, 'x')
    metrics.count('x')
    world.disk('n1').crash()
    await world.disk('n1').open().put('more', 'x')
  })
})

test('replaces a disk, and lets bits rot', async () => {
  const { world, nemesis } = setUp()
  await world.run(async () => {
    for (const name of ['n1', 'n2']) await fill(world, name)
    const replace: Fault = { kind: 'replace', node: 'n1' }
    await nemesis.begin(replace)
    expect(world.disk('n1').entries).toBe(0)
    await nemesis.end(replace)
    await nemesis.end(replace)
    await nemesis.begin({ kind: 'rot', node: 'n2', values: 2 })
  })
  expect(
    world
      .timeline()
      .filter((line) => line.includes('disk:'))
      .map((line) => line.slice(16)),
  ).toEqual([
    'n1 disk: lost power, kept 0 of 0 unsynced batches',
    'n1 disk: was replaced by an empty one',
    'n2 disk: rotted 2 values',
  ])
})

test('heals what it could not end, and says so when a node does not start', async () => {
  const { world, log, nemesis } = setUp()
  await world.run(async () => {
    // Somebody else has the disk: the node cannot start.
    const crash: Fault = { kind: 'crash', node: 'n1' }
    const raging = nemesis.rage([{ fromMs: 1, untilMs: 10, fault: crash }])
    await world.clockOf('n3').sleep(5)
    const squatter = world.disk('n1').open()
    await squatter.open()
    await raging
    expect(world.timeline().some((line) => line.includes('could not end crash'))).toBe(true)
    await expect(nemesis.heal()).rejects.toMatchObject({ code: 'LEVEL_DATABASE_NOT_OPEN' })
    await squatter.close()
    await nemesis.heal()
  })
  expect(log.filter((line) => line.includes('n1 starts'))).toHaveLength(3)
})

test('waits for quiet, and gives up with what is left to complain of', async () => {
  const { world } = setUp()
  let left = 3
  await world.run(async () => {
    await waitForQuiet(world, async () => (left-- > 0 ? ['not yet'] : []))
    await expect(
      waitForQuiet(world, async () => ['n1 behind', 'n2 behind'], { withinMs: 1000, everyMs: 10 }),
    ).rejects.toThrow('no quiet within 1000 ms: n1 behind; n2 behind')
  })
  expect(world.nowMs).toBeCloseTo(1300, 6)
})
