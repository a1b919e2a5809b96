import { describe, expect, it } from 'vitest'
import { id, valuesOf } from '../../vnode/test/world.ts'
import { Atoll, type Island, insist, MOVED, OWNED_BY_N1 } from './atoll.ts'

const NAMES = ['n1', 'n2', 'n3']
const HANDOFF = { pageRecords: 3, retryBaseMs: 10, retryCapMs: 40, callTimeoutMs: 200, pauseTimeoutMs: 100 }

/** Every so many-th operation; `ATOLL_EVERY=1` tries them all. */
const STRIDE = Number(process.env['ATOLL_EVERY'] ?? 13)

interface Trouble {
  /** Whose operations of the disk are counted. */
  readonly victim: 'n1' | 'n2'
  readonly at: number
  /** Power that fails, or connections that break while the disk goes on, so that answers are lost. */
  readonly what: 'crash' | 'cut'
}

/** Clients that write, each write under a key of its own, until they are told to stop. */
class Clients {
  readonly acknowledged: string[] = []
  readonly #atoll: Atoll
  readonly #done: Promise<unknown>
  #over = false

  constructor(atoll: Atoll, count: number) {
    this.#atoll = atoll
    this.#done = Promise.all(Array.from({ length: count }, (_, client) => this.#write(client)))
  }

  async stop(): Promise<void> {
    this.#over = true
    await this.#done
  }

  async #write(client: number): Promise<void> {
    const through = this.#atoll.node('n3')
    for (let at = 0; !this.#over; at++) {
      const name = `c${client}-${at}`
      const { epoch, owners } = through.document
      const target = { node: owners[1]!, partition: 1, role: 'primary', epoch } as const
      const answer = await through.write(target, id(name), name).catch((error) => {
        expect(error.code).toMatch(/^ATOLL_(UNREACHABLE|TIMEOUT|STORAGE|CLOSED)$/)
      })
      if (answer !== undefined) this.acknowledged.push(name)
      await this.#atoll.sleep(6)
    }
  }
}

function arm(atoll: Atoll, { victim, at, what }: Trouble): { over: Promise<void> } {
  const island = atoll.node(victim)
  const trouble = { over: Promise.resolve() }
  const cut = async () => {
    atoll.network.cut(victim)
    await atoll.sleep(10)
    atoll.network.restore(victim)
  }
  const blow = () => {
    trouble.over = what === 'crash' ? island.crash() : cut()
  }
  island.fuse = { left: at, blow }
  return trouble
}

/** Moves partition 1 from n1 to n2 under load, with one trouble. Resolves with whether that came before the end. */
async function move(trouble: Trouble): Promise<boolean> {
  const atoll = new Atoll(NAMES, OWNED_BY_N1, { seed: trouble.at, handoff: HANDOFF })
  let blown = false
  await atoll.run(async () => {
    const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
    const target = { node: 'n1', partition: 1, role: 'primary', epoch: 1 } as const
    for (let at = 0; at < 8; at++) await n1.write(target, id(`k${at}`), `k${at}`)
    const armed = arm(atoll, trouble)
    const clients = new Clients(atoll, 2)
    await insist(atoll, n1, () => n1.handoffs.transfer(1, 'n2'))
    const early = [...clients.acknowledged]
    await insist(atoll, n2, () => expectAll(n2, early, trouble))
    await atoll.sleep(5)
    atoll.decide(MOVED, ['n1', 'n3'])
    await insist(atoll, n1, () => n1.handoffs.release(1))
    await atoll.sleep(5)
    atoll.decide(MOVED, ['n2'])
    await clients.stop()
    await insist(atoll, n1, async () => {
      while ((await n1.handoffs.giveBack({ partition: 1, to: ['n2'] })).left > 0) await atoll.sleep(1)
    })
    blown = trouble.victim === 'n1' ? n1.fuse === undefined : n2.fuse === undefined
    n1.fuse = n2.fuse = undefined
    await armed.over
    const where = JSON.stringify(trouble)
    const names = Array.from({ length: 8 }, (_, at) => `k${at}`)
    await expectAll(n2, [...clients.acknowledged, ...names], trouble)
    expect(clients.acknowledged.length, where).toBeGreaterThan(0)
    expect(await n1.host.partitions(), where).toEqual([])
    expect(await n3.host.partitions()).toEqual([])
    await insist(atoll, n1, () => n1.write(target, id('last'), 'last'))
    expect(turnsOf(atoll), where).toEqual(['n1', 'n2'])
  })
  return blown
}

/** Moves the partition to n2 and back, without a document that says so; n2 takes writes in between. */
async function moveAndReturn(trouble: Trouble): Promise<boolean> {
  const atoll = new Atoll(NAMES, OWNED_BY_N1, { seed: trouble.at, handoff: HANDOFF })
  let blown = false
  await atoll.run(async () => {
    const [n1, n2] = NAMES.map((name) => atoll.node(name)) as [Island, Island]
    const target = { node: 'n1', partition: 1, role: 'primary', epoch: 1 } as const
    for (let at = 0; at < 5; at++) await n1.write(target, id(`k${at}`), `v${at}`)
    await n1.handoffs.transfer(1, 'n2')
    const clients = new Clients(atoll, 2)
    await atoll.sleep(15)
    const armed = arm(atoll, trouble)
    await insist(atoll, n1, () => n1.handoffs.cancel(1))
    await clients.stop()
    blown = atoll.node(trouble.victim).fuse === undefined
    atoll.node(trouble.victim).fuse = undefined
    await armed.over
    const where = JSON.stringify(trouble)
    expect(n1.handoffs.outgoing().size, where).toBe(0)
    await expectAll(n1, clients.acknowledged, trouble)
    await insist(atoll, n1, () => n1.write(target, id('last'), 'last'))
    expect(turnsOf(atoll), where).toEqual(['n1', 'n2', 'n1'])
    await insist(atoll, n2, async () =>
      expect((await n2.handoffs.giveBack({ partition: 1, to: ['n1'] })).left).toBe(0),
    )
    expect(await n2.host.partitions(), where).toEqual([])
  })
  return blown
}

/** Every key was written once, with its own name. */
async function expectAll({ host }: Island, names: readonly string[], trouble: Trouble): Promise<void> {
  const found = new Map<string, string[]>()
  for (const name of names) {
    found.set(name, valuesOf((await host.get({ partition: 1, id: id(name) })).record))
  }
  expect(found, JSON.stringify(trouble)).toEqual(new Map(names.map((name) => [name, [name]])))
}

function turnsOf({ accepted }: Atoll): string[] {
  return accepted.filter((node, at) => node !== accepted[at - 1])
}

describe.each([
  { victim: 'n1', what: 'crash' },
  { victim: 'n2', what: 'crash' },
  { victim: 'n2', what: 'cut' },
  { victim: 'n1', what: 'cut' },
] as const)('with a $what of $victim', (trouble) => {
  it('at any operation of its disk, no acknowledged write is lost and nothing is left behind', async () => {
    let at = 1
    for (; await move({ ...trouble, at }); at += STRIDE);
    expect(at).toBeGreaterThan(30)
  })

  it('at any operation of its disk, what is asked back comes back whole', async () => {
    let at = 1
    for (; await moveAndReturn({ ...trouble, at }); at += STRIDE);
    expect(at).toBeGreaterThan(10)
  })
})
