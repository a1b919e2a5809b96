import { utf8 } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { Notebook, TestCluster } from './cluster.ts'

const SIZES = [2, 3, 5, 10]

describe('an open node', () => {
  test('knows who is up, and the others know of it', async () => {
    const cluster = new TestCluster(5)
    await cluster.run(async () => {
      await cluster.start('n1')
      expect(cluster.names.map((name) => cluster.node('n1').gossip.isUp(name))).toEqual([
        true,
        false,
        false,
        false,
        false,
      ])
      for (const name of ['n2', 'n3', 'n4']) {
        await cluster.start(name)
        expect(cluster.others(name, (gossip) => gossip.isUp(name))).toBe(true)
        expect(cluster.others('', (gossip) => gossip.isUp('n5'))).toBe(false)
      }
    })
  })

  test('is a stranger to nobody: it is up for itself, and others are not', async () => {
    const cluster = new TestCluster(2)
    await cluster.run(async () => {
      const [node] = await cluster.startAll()
      expect(node!.gossip.isUp('n1')).toBe(true)
      expect(node!.gossip.isUp('n9')).toBe(false)
      expect(node!.gossip.statusOf('n9')).toBe('dead')
    })
  })
})

describe.each(SIZES)('of %i nodes, one that', (size) => {
  test.each([1, 2, 3])(
    'is killed is down within 3 s, and up again when it returns (seed %i)',
    async (seed) => {
      const cluster = new TestCluster(size, {}, seed)
      await cluster.run(async () => {
        await cluster.startAll()
        await cluster.sleep(5000)
        await cluster.kill('n2')
        await cluster.until('n2 is down', () => cluster.others('n2', (gossip) => !gossip.isUp('n2')), 3000)
        await cluster.until(
          'n2 is dead',
          () => cluster.others('n2', (g) => g.statusOf('n2') === 'dead'),
          6000,
        )
        await cluster.sleep(10_000)
        await cluster.start('n2')
        await cluster.until('n2 is up', () => cluster.others('n2', (gossip) => gossip.isUp('n2')), 600)
        expect(cluster.names.every((name) => cluster.node('n2').gossip.isUp(name))).toBe(true)
      })
    },
  )

  test.each([1, 2, 3])(
    'stands still is down within 3 s, accuses nobody, and is up again (seed %i)',
    async (seed) => {
      const cluster = new TestCluster(size, {}, seed)
      await cluster.run(async () => {
        const nodes = await cluster.startAll()
        const frozen = nodes[1]!
        await cluster.sleep(5000)
        frozen.freeze()
        await cluster.until('n2 is down', () => cluster.others('n2', (gossip) => !gossip.isUp('n2')), 3000)
        await cluster.sleep(10_000)
        for (const { told } of nodes) told.length = 0
        frozen.thaw()
        await cluster.until('n2 is up', () => cluster.others('n2', (gossip) => gossip.isUp('n2')), 1000)
        await cluster.sleep(5000)
        const others = nodes.filter((node) => node !== frozen)
        expect(others.map(({ told }) => told)).toEqual(others.map(() => ['up n2']))
        expect(frozen.told).toEqual([])
      })
    },
  )
})

describe('the document', () => {
  test('reaches everybody at once, and him who was away when he returns', async () => {
    const cluster = new TestCluster(5)
    await cluster.run(async () => {
      await cluster.startAll()
      await cluster.kill('n5')
      const { notebook, gossip } = cluster.node('n1')
      notebook.write(7, 'seven')
      gossip.announce()
      await cluster.until(
        'all have it',
        () =>
          cluster.others('', () =>
            [...cluster.nodes.values()].every((node) => node.notebook.text === 'seven'),
          ),
        600,
      )
      await cluster.start('n5')
      await cluster.until('n5 has it', () => cluster.node('n5').notebook.text === 'seven', 600)
    })
  })

  test('that is refused is counted, and asked for again', async () => {
    const cluster = new TestCluster(2)
    await cluster.run(async () => {
      await cluster.startAll()
      const { notebook, runtime } = cluster.node('n2')
      let refusals = 3
      notebook.check = () => {
        if (refusals-- > 0) throw new Error('not now')
      }
      cluster.node('n1').notebook.write(2, 'two')
      cluster.node('n1').gossip.announce()
      await cluster.until('n2 has it', () => notebook.text === 'two', 6000)
      expect(runtime.metrics.value('atoll_gossip_documents_total', { outcome: 'refused' })).toBe(3)
      expect(runtime.metrics.value('atoll_gossip_documents_total', { outcome: 'learned' })).toBe(1)
    })
  })

  test('is found by who was told nothing', async () => {
    const cluster = new TestCluster(3)
    await cluster.run(async () => {
      await cluster.startAll()
      const { notebook } = cluster.node('n1')
      notebook.write(3, 'three')
      await cluster.until(
        'all',
        () => [...cluster.nodes.values()].every((node) => node.notebook.current === 3),
        3000,
      )
      await cluster.until(
        'all know',
        () => cluster.others('', (gossip) => gossip.members().every((m) => m.documentVersion === 3)),
        5000,
      )
    })
  })
})

describe('facts', () => {
  test('of a node are known everywhere, and those of its former life are forgotten', async () => {
    const cluster = new TestCluster(4)
    await cluster.run(async () => {
      await cluster.startAll()
      const { gossip } = cluster.node('n1')
      gossip.publish('disk', utf8('full'))
      gossip.publish('load', utf8('1'))
      gossip.publish('load', utf8('2'))
      const known = (name: string) =>
        cluster.others('', (g) => `${g.factsOf('n1').get(name)}` === `${utf8('2')}`)
      await cluster.until('load', () => known('load'), 3000)
      expect(cluster.others('', (g) => g.factsOf('n1').size === 2)).toBe(true)
      await cluster.kill('n1')
      await cluster.sleep(100)
      const again = await cluster.start('n1', new Notebook())
      again.gossip.publish('rack', utf8('r1'))
      const only = () => cluster.others('', (g) => [...g.factsOf('n1').keys()].join() === 'rack')
      await cluster.until('a new life', only, 3000)
    })
  })
})

describe('a partition', () => {
  /** Who is up for whom, by halves: within, and across. */
  const views = (cluster: TestCluster, half: readonly string[], other: readonly string[]) => {
    const sees = (by: readonly string[], of: readonly string[]) =>
      by.every((name) => of.every((node) => cluster.node(name).gossip.isUp(node)))
    const seesSome = (by: readonly string[], of: readonly string[]) =>
      by.some((name) => of.some((node) => cluster.node(name).gossip.isUp(node)))
    return {
      within: sees(half, half) && sees(other, other),
      across: sees(half, other) && sees(other, half),
      acrossAtAll: seesSome(half, other) || seesSome(other, half),
    }
  }

  test.each([1, 2, 3])(
    'takes each half for dead to the other, and is forgotten when it ends (seed %i)',
    async (seed) => {
      const cluster = new TestCluster(7, {}, seed)
      await cluster.run(async () => {
        await cluster.startAll()
        await cluster.sleep(2000)
        const [half, other] = [cluster.names.slice(0, 3), cluster.names.slice(3)]
        cluster.network.partition(half, other)
        await cluster.until('apart', () => !views(cluster, half, other).acrossAtAll, 6000)
        expect(views(cluster, half, other).within).toBe(true)
        await cluster.sleep(20_000)
        cluster.node('n1').notebook.write(4, 'four')
        cluster.network.heal()
        await cluster.until('together', () => views(cluster, half, other).across, 2000)
        const news = () => [...cluster.nodes.values()].every(({ notebook }) => notebook.text === 'four')
        await cluster.until('the document', news, 1000)
      })
    },
  )

  test('between two nodes only kills neither: each is down for the other alone', async () => {
    const cluster = new TestCluster(5)
    await cluster.run(async () => {
      await cluster.startAll()
      cluster.network.partition(['n1'], ['n2'])
      const [a, b] = [cluster.node('n1').gossip, cluster.node('n2').gossip]
      await cluster.until('apart', () => !a.isUp('n2') && !b.isUp('n1'), 3000)
      await cluster.sleep(30_000)
      expect([a.statusOf('n2'), b.statusOf('n1')]).toEqual(['suspect', 'suspect'])
      for (const name of ['n3', 'n4', 'n5'])
        expect(cluster.names.every((node) => cluster.node(name).gossip.isUp(node))).toBe(true)
      cluster.network.heal()
      await cluster.until('together', () => a.isUp('n2') && b.isUp('n1'), 1100)
    })
  })

  test('that lets a node ask and not be asked: it refutes once a period, and says so as often', async () => {
    const cluster = new TestCluster(4)
    cluster.shut.add('n1')
    await cluster.run(async () => {
      await cluster.startAll()
      await cluster.sleep(10_000)
      const { runtime } = cluster.node('n1')
      const refuted = () => runtime.metrics.value('atoll_gossip_refutations_total')
      const before = refuted()
      await cluster.sleep(20_000)
      expect(refuted() - before).toBeGreaterThan(0)
      expect(refuted() - before).toBeLessThanOrEqual(40)
      expect(cluster.others('n1', (gossip) => gossip.statusOf('n1') !== 'dead')).toBe(true)
      cluster.shut.clear()
      await cluster.until('n1 is up', () => cluster.others('n1', (gossip) => gossip.isUp('n1')), 2000)
      const healed = refuted()
      await cluster.sleep(5000)
      expect(refuted() - healed).toBeLessThanOrEqual(1)
    })
  })

  test('of one direction only: who hears nobody calls nobody up, and who is not heard is down', async () => {
    const cluster = new TestCluster(4)
    await cluster.run(async () => {
      await cluster.startAll()
      await cluster.sleep(2000)
      cluster.network.partition(['n1'], ['n2', 'n3', 'n4'], { oneWay: true })
      const others = ['n2', 'n3', 'n4']
      const apart = () =>
        cluster.others('n1', (gossip) => !gossip.isUp('n1')) &&
        others.every((name) => !cluster.node('n1').gossip.isUp(name))
      await cluster.until('apart', apart, 6000)
      await cluster.sleep(20_000)
      expect(apart()).toBe(true)
      for (const name of others)
        expect(others.every((node) => cluster.node(name).gossip.isUp(node))).toBe(true)
      cluster.network.heal()
      const together = () => cluster.others('', (gossip) => cluster.names.every((name) => gossip.isUp(name)))
      await cluster.until('together', together, 2000)
    })
  })
})

describe('a member', () => {
  test('that is put in is found, and one that is left out is forgotten', async () => {
    const cluster = new TestCluster(3)
    await cluster.run(async () => {
      await cluster.startAll()
      cluster.names.push('n4')
      await cluster.start('n4')
      for (const { gossip } of cluster.nodes.values()) gossip.setMembers(cluster.names)
      await cluster.until('n4', () => cluster.others('', (gossip) => gossip.members().length === 4), 100)
      expect(cluster.others('', (gossip) => gossip.isUp('n4'))).toBe(true)
      await cluster.kill('n4')
      const rest = ['n1', 'n2', 'n3']
      for (const { gossip } of cluster.nodes.values()) gossip.setMembers(rest)
      await cluster.sleep(5000)
      const { gossip, runtime } = cluster.node('n1')
      expect(gossip.members().map(({ node, status }) => `${node} ${status}`)).toEqual(
        rest.map((n) => `${n} alive`),
      )
      expect(runtime.metrics.value('atoll_gossip_members', { status: 'alive' })).toBe(3)
      expect(runtime.metrics.value('atoll_gossip_transitions_total', { to: 'dead' })).toBe(0)
    })
  })

  test('whose connection is cut for a moment is down only until it answers', async () => {
    const cluster = new TestCluster(3)
    await cluster.run(async () => {
      await cluster.startAll()
      await cluster.sleep(2000)
      const { gossip, told } = cluster.node('n1')
      cluster.network.cut('n2')
      cluster.network.restore('n2')
      await cluster.until('down', () => !gossip.isUp('n2'), 50)
      expect(gossip.statusOf('n2')).toBe('suspect')
      await cluster.until('up', () => gossip.isUp('n2'), 200)
      await cluster.sleep(5000)
      expect(told).toEqual(['down n2', 'up n2'])
    })
  })

  test('that opens again is known by its new life', async () => {
    const cluster = new TestCluster(2)
    await cluster.run(async () => {
      const [node, other] = await cluster.startAll()
      node!.gossip.publish('rack', utf8('r1'))
      await cluster.until('fact', () => other!.gossip.factsOf('n1').has('rack'), 2000)
      await node!.gossip.close()
      await node!.endpoint.close()
      await cluster.until('dead', () => other!.gossip.statusOf('n1') === 'dead', 4000)
      await node!.endpoint.open()
      await node!.gossip.open()
      expect(other!.gossip.isUp('n1')).toBe(true)
      await cluster.until('fact', () => other!.gossip.factsOf('n1').has('rack'), 2000)
      expect(node!.gossip.members().map(({ node: name, status }) => `${name} ${status}`)).toEqual([
        'n1 alive',
        'n2 alive',
      ])
    })
  })

  test('that loses the answers of many calls at once still closes', async () => {
    const cluster = new TestCluster(5)
    await cluster.run(async () => {
      const [node] = await cluster.startAll()
      cluster.network.partition(['n1'], ['n2', 'n3', 'n4', 'n5'])
      node!.gossip.announce()
      await cluster.sleep(400)
      const startMs = cluster.world.nowMs
      await node!.gossip.close()
      expect(cluster.world.nowMs - startMs).toBeLessThan(5)
    })
  })
})

describe('bad weather', () => {
  test('of a tenth of all frames lost kills nobody, and the same seed tells the same story', async () => {
    const run = async () => {
      const cluster = new TestCluster(6, {}, 11)
      return cluster.run(async () => {
        await cluster.startAll()
        cluster.network.configure({ lossPerMillion: 100_000, duplicatePerMillion: 50_000 })
        await cluster.sleep(60_000)
        const dead = [...cluster.nodes.values()].map(({ runtime }) =>
          runtime.metrics.value('atoll_gossip_transitions_total', { to: 'dead' }),
        )
        cluster.network.heal()
        await cluster.sleep(3000)
        const up = cluster.others('', (gossip) => cluster.names.every((name) => gossip.isUp(name)))
        return { dead, up, trace: cluster.world.traceHash() }
      })
    }
    const first = await run()
    expect(first).toMatchObject({ dead: [0, 0, 0, 0, 0, 0], up: true })
    expect(await run()).toEqual(first)
  })
})
