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
      expect(runtime.metrics.value('gossip_documents_total', { outcome: 'refused' })).toBe(3)
      expect(runtime.metrics.value('gossip_documents_total', { outcome: 'learned' })).toBe(1)
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
