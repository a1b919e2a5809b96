import { mkdirSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { openCluster } from '../src/index.ts'
import {
  areTogether,
  endThreads,
  freeAddresses,
  type Machine,
  Machines,
  textOf,
  until,
} from './story/machines.ts'

afterAll(endThreads)

const LONG_MS = 60_000
const KEYS = Array.from({ length: 20 }, (_, at) => `letter-${at}`)

/** Three machines with some objects. */
async function withLetters(machines: Machines): Promise<readonly [Machine, Machine, Machine]> {
  const [n1, n2, n3] = await machines.cluster('n1', 'n2', 'n3')
  if (n1 === undefined || n2 === undefined || n3 === undefined) throw new Error('three were started')
  await n1.node.objects.createBucket('letters')
  for (const key of KEYS) await n1.node.objects.put('letters', key, `Dear reader of ${key},`)
  await until('they are together', () => areTogether([n1, n2, n3]))
  return [n1, n2, n3]
}

/** All of them read every object: just after a start some may have to be told first that their data is the newest. */
async function readAll(machines: readonly Machine[]): Promise<void> {
  for (const machine of machines)
    await until(`${machine.name} reads all`, async () => (await rightOf(machine)) === KEYS.length)
}

/** How many of the objects a machine reads right. */
async function rightOf({ node }: Machine, keys: readonly string[] = KEYS): Promise<number> {
  const texts = await Promise.all(keys.map((key) => textOf(node, key).catch((error: Error) => error.message)))
  return texts.filter((text, at) => text === `Dear reader of ${keys[at]},`).length
}

function clusterOf({ node }: Machine): string {
  return node.cluster.document.clusterId
}

describe('a node that was stopped', () => {
  test(
    'comes back as itself, and reads what it had',
    async () => {
      await using machines = new Machines()
      const all = await withLetters(machines)
      const [n1, n2] = all
      await n2.stop()
      await n1.node.objects.put('letters', 'late', 'Dear reader of late,')
      await n2.start()
      await until('they are together', () => areTogether(all))
      expect(await rightOf(n2, [...KEYS, 'late'])).toBe(KEYS.length + 1)
      expect(all.flatMap(({ errors }) => errors)).toEqual([])
    },
    LONG_MS,
  )
})

describe('nodes that are moved', () => {
  test(
    'all at one time, each told where the others are: they are one cluster again',
    async () => {
      await using machines = new Machines()
      const all = await withLetters(machines)
      const id = clusterOf(all[0])
      await Promise.all(all.map((machine) => machine.stop()))
      const addresses = await freeAddresses(3)
      await Promise.all(
        all.map((machine, at) => machine.start({ listen: addresses[at] ?? '', seeds: addresses })),
      )
      await until('they are together', () => areTogether(all))
      for (const machine of all) {
        expect(clusterOf(machine)).toBe(id)
        expect(await rightOf(machine)).toBe(KEYS.length)
      }
      await until('the document says where they are', () =>
        all.every(({ node }) =>
          node.cluster.status().members.every(({ address }) => addresses.includes(address)),
        ),
      )
      expect(all.flatMap(({ errors }) => errors)).toEqual([])
    },
    LONG_MS,
  )

  test(
    'all at one time, each told of one of them, and that by a name',
    async () => {
      await using machines = new Machines()
      const all = await withLetters(machines)
      await Promise.all(all.map((machine) => machine.stop()))
      const [listen = ''] = await freeAddresses(1)
      const seeds = [listen.replace('127.0.0.1', 'localhost')]
      await Promise.all(all.map((machine, at) => machine.start({ seeds, ...(at === 0 ? { listen } : {}) })))
      await until('they are together', () => areTogether(all))
      await readAll(all)
    },
    LONG_MS,
  )

  test(
    'one at a time need to be told nothing',
    async () => {
      await using machines = new Machines()
      const all = await withLetters(machines)
      for (const machine of all) {
        const before = machine.address
        await machine.stop()
        await machine.start()
        expect(machine.address).not.toBe(before)
        await until('they are together', () => areTogether(all))
      }
      await readAll(all)
    },
    LONG_MS,
  )

  test(
    'to another directory come back as themselves, even if their name is not said',
    async () => {
      await using machines = new Machines()
      const all = await withLetters(machines)
      const [n1, n2] = all
      await n2.stop()
      const elsewhere = machines.machine('elsewhere')
      renameSync(n2.path, elsewhere.path)
      await elsewhere.start({ name: null, seeds: [n1.address] })
      expect(elsewhere.node.name).toBe('n2')
      await until('n1 has it for up', () => n1.node.isUp('n2'))
      await readAll([elsewhere])
    },
    LONG_MS,
  )
})

describe('a node that is renamed', () => {
  test(
    'is refused: the data says whose it is',
    async () => {
      await using machines = new Machines()
      const [n1, n2] = await withLetters(machines)
      await n2.stop()
      await expect(n2.start({ name: 'n9', seeds: [n1.address] })).rejects.toMatchObject({
        code: 'ATOLL_FORMAT',
        message: 'the data is that of node n2, not of n9',
      })
      await n2.start()
      await readAll([n2])
    },
    LONG_MS,
  )
})

describe('a node that lost its disk', () => {
  test(
    'and begins a cluster all the same is kept apart by both sides, which say so',
    async () => {
      await using machines = new Machines()
      const all = await withLetters(machines)
      const [n1, n2, n3] = all
      const listen = n1.address
      const id = clusterOf(n2)
      await n1.wipe()
      await n1.start({ listen, begin: true })
      expect(clusterOf(n1)).not.toBe(id)
      await until('the others have said so', () => [n2, n3].every(({ errors }) => errors.length > 0))
      await until('it has said so', () => n1.errors.length > 0)
      for (const machine of all) {
        expect(machine.errors.map(({ text }) => text)).toContain('a node is not what its name stands for')
        // One line for each of the other names, however often they knock.
        expect(machine.errors.length).toBeLessThanOrEqual(2)
        expect(machine.errors.map(({ fields }) => JSON.stringify(fields)).join()).toContain(clusterOf(n1))
      }
      await until('it is not up to them', () => [n2, n3].every(({ node }) => !node.isUp('n1')))
      expect((await n1.node.objects.listBuckets()).buckets).toEqual([])
      await expect(textOf(n1.node, KEYS[0] ?? '')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_NOT_FOUND' })
      for (const machine of [n2, n3]) expect(await rightOf(machine)).toBe(KEYS.length)
      await n2.node.objects.put('letters', 'after', 'Dear reader of after,')
      expect(await rightOf(n3, ['after'])).toBe(1)
      expect(n1.metrics.value('rpc_refused_total', { code: 'ATOLL_FORMAT' })).toBeGreaterThan(0)
    },
    LONG_MS,
  )

  test(
    'and asks its seeds is told what to stage, and is taken back so',
    async () => {
      await using machines = new Machines()
      const all = await withLetters(machines)
      const [n1, n2, n3] = all
      const listen = n1.address
      await n1.wipe()
      // As all machines are told: the disk that is gone changes nothing about who begins.
      const start = { listen, begin: 'n1', seeds: [listen, n2.address, n3.address] }
      const refusal = await n1.start(start).catch((error: unknown) => error)
      expect(refusal).toMatchObject({ code: 'ATOLL_FORMAT' })
      const [, change] = /stage (\{.*\}) on another/.exec(String(refusal)) ?? []
      const [, changeId = ''] = /id: '(\w+)'/.exec(change ?? '') ?? []
      const { cluster } = n2.node
      await cluster.stage({ kind: 'force-replace', node: 'n1', by: 'n1', id: changeId })
      await cluster.commit(await cluster.plan())
      await n1.start(start)
      await until('they are together', () => areTogether(all))
      await cluster.settled({ signal: AbortSignal.timeout(30_000) })
      await readAll(all)
    },
    LONG_MS,
  )

  test(
    'and was replaced meanwhile says so if its old disk turns up again, and serves nobody',
    async () => {
      await using machines = new Machines()
      const all = await withLetters(machines)
      const [n1, n2] = all
      const listen = n1.address
      await n1.stop()
      const old = machines.machine('old')
      renameSync(n1.path, old.path)
      const refusal = await n1.start({ listen, seeds: [n2.address] }).catch((error: unknown) => error)
      const [, id = ''] = /id: '(\w+)'/.exec(String(refusal)) ?? []
      const { cluster } = n2.node
      await cluster.stage({ kind: 'force-replace', node: 'n1', by: 'n1', id })
      await cluster.commit(await cluster.plan())
      await n1.start({ listen, seeds: [n2.address] })
      await until('they are together', () => areTogether(all))
      await n1.stop()
      await old.start({ name: 'n1', listen })
      const events: unknown[] = []
      old.node.events.on('left', (departure) => events.push(departure))
      expect(await old.node.left).toMatchObject({ kind: 'replaced' })
      await expect(textOf(old.node, KEYS[0] ?? '')).rejects.toMatchObject({
        code: 'ATOLL_CLOSED',
        message: expect.stringMatching(/n1 was replaced in cluster .*: ask another node/),
      })
      await old.stop()
      await n1.start({ listen })
      await until('they are together', () => areTogether(all))
      await readAll([n1])
    },
    LONG_MS,
  )
})

describe('a node that leaves', () => {
  test.each(['leave', 'replace'] as const)(
    'by %s says so: an event, a promise, and a code',
    async (kind) => {
      await using machines = new Machines()
      const all = await withLetters(machines)
      const [n1, n2, n3] = all
      const n4 = machines.machine('n4')
      await n4.start({ seeds: [n1.address] })
      const events: unknown[] = []
      n3.node.events.on('left', (departure) => events.push(departure))
      const { cluster } = n1.node
      await cluster.stage(kind === 'leave' ? { kind, node: 'n3' } : { kind: 'replace', node: 'n3', by: 'n4' })
      await cluster.commit(await cluster.plan())
      const departure = await n3.node.left
      expect(departure).toMatchObject({ kind: 'left', clusterId: clusterOf(n1) })
      expect(events).toEqual([departure])
      await expect(n3.node.objects.put('letters', 'more', 'x')).rejects.toMatchObject({
        code: 'ATOLL_CLOSED',
        definite: true,
        message: expect.stringMatching(/n3 has left cluster .*: ask another node/),
      })
      await n3.stop()
      await expect(n3.start()).rejects.toMatchObject({
        code: 'ATOLL_FORMAT',
        message: /n3 has left the cluster/,
      })
      await readAll([n1, n2, n4])
    },
    LONG_MS,
  )
})

describe('a node that is started twice', () => {
  test(
    'on one directory is refused the second time',
    async () => {
      await using machines = new Machines()
      const [n1, n2] = await withLetters(machines)
      const twin = machines.machine('twin')
      Object.assign(twin, { path: n2.path })
      await expect(twin.start({ name: 'n2', seeds: [n1.address] })).rejects.toMatchObject({
        code: 'ATOLL_LOCKED',
      })
      await readAll([n2])
    },
    LONG_MS,
  )
})

describe('nodes that start at one time', () => {
  test(
    'with the same options make one cluster, which the named one begins',
    async () => {
      await using machines = new Machines()
      const addresses = await freeAddresses(3)
      const all = ['n1', 'n2', 'n3'].map((name) => machines.machine(name))
      await Promise.all(
        all.map((machine, at) =>
          machine.start({ listen: addresses[at] ?? '', seeds: addresses, begin: 'n2' }),
        ),
      )
      await until('they know of each other', () =>
        all.every(({ node }) => node.cluster.document.members.size === 3),
      )
      expect(new Set(all.map(clusterOf)).size).toBe(1)
      // The same again, with all of their data: nothing is begun.
      const [id] = all.map(clusterOf)
      await Promise.all(all.map((machine) => machine.stop()))
      await Promise.all(
        all.map((machine, at) =>
          machine.start({ listen: addresses[at] ?? '', seeds: addresses, begin: 'n2' }),
        ),
      )
      expect(all.map(clusterOf)).toEqual([id, id, id])
    },
    LONG_MS,
  )

  test(
    'wait for the one that begins, however late it comes, and for nobody else',
    async () => {
      await using machines = new Machines()
      const addresses = await freeAddresses(3)
      const [early, late] = [machines.machine('n2'), machines.machine('n1')]
      const waiting = early.start({ listen: addresses[1] ?? '', seeds: addresses, joinTimeoutMs: 30_000 })
      await late.start({ listen: addresses[0] ?? '', seeds: addresses, begin: true })
      await waiting
      expect(clusterOf(early)).toBe(clusterOf(late))
    },
    LONG_MS,
  )

  test(
    'and of which none begins say so when their time is over',
    async () => {
      await using machines = new Machines()
      const addresses = await freeAddresses(2)
      const all = ['n1', 'n2'].map((name) => machines.machine(name))
      const started = all.map((machine, at) =>
        machine.start({ listen: addresses[at] ?? '', seeds: addresses, joinTimeoutMs: 1500 }),
      )
      for (const [at, outcome] of (await Promise.allSettled(started)).entries()) {
        expect(outcome).toMatchObject({
          status: 'rejected',
          reason: {
            code: 'ATOLL_UNREACHABLE',
            message: expect.stringContaining(`n${at + 1} found no cluster to join`),
          },
        })
      }
    },
    LONG_MS,
  )

  test(
    'without seeds and without begin are refused at once',
    async () => {
      await using machines = new Machines()
      const machine = machines.machine('n1')
      await expect(machine.start()).rejects.toThrow(
        /seeds must be given: n1 has no data, and it is not to begin/,
      )
      await expect(machine.start({ begin: 'n2' })).rejects.toThrow(
        /n1 has no data, and n2 begins the cluster/,
      )
      await machine.start({ begin: 'n1' })
    },
    LONG_MS,
  )
})

describe('what the data knows', () => {
  test(
    'need not be said, and must not be contradicted',
    async () => {
      await using machines = new Machines()
      const [n1] = await withLetters(machines)
      const listen = n1.address
      await n1.stop()
      await expect(n1.start({ listen, n: 5 })).rejects.toMatchObject({
        code: 'ATOLL_FORMAT',
        message: 'the cluster keeps 3 replicas apart, not 5',
      })
      await expect(n1.start({ listen, partitions: 32 })).rejects.toMatchObject({ code: 'ATOLL_FORMAT' })
      await n1.start({ listen, n: 3, name: null })
      expect(n1.node.name).toBe('n1')
    },
    LONG_MS,
  )

  test(
    'goes from a cluster in one process to machines, which find each other through seeds, and back',
    async () => {
      await using machines = new Machines()
      const names = ['n1', 'n2', 'n3', 'n4']
      {
        await using cluster = await openCluster({ path: machines.folder, nodes: 4, partitions: 16 })
        await cluster.node(1).objects.createBucket('letters')
        for (const key of KEYS) await cluster.node(1).objects.put('letters', key, `Dear reader of ${key},`)
      }
      const addresses = await freeAddresses(4)
      const all = names.map((name) => machines.machine(name))
      await Promise.all(
        all.map((machine, at) =>
          machine.start({ name: null, listen: addresses[at] ?? '', seeds: addresses }),
        ),
      )
      await until('they are together', () => areTogether(all))
      await readAll(all)
      await Promise.all(all.map((machine) => machine.stop()))
      await using cluster = await openCluster({ path: machines.folder, nodes: 4 })
      expect(await textOf(cluster.node(4), KEYS[0] ?? '')).toBe(`Dear reader of ${KEYS[0]},`)
    },
    LONG_MS,
  )
})

describe('seeds', () => {
  test(
    'may be down, unknown to the name service, or this node itself, as long as one answers',
    async () => {
      await using machines = new Machines()
      const [n1] = await withLetters(machines)
      const [down = '', own = ''] = await freeAddresses(2)
      const n4 = machines.machine('n4')
      await n4.start({ listen: own, seeds: [down, own, 'nobody.invalid:7400', n1.address] })
      expect(clusterOf(n4)).toBe(clusterOf(n1))
      await n4.wipe()
      const n5 = machines.machine('n5')
      await n5.start({ seeds: { first: down, second: n1.address } })
      expect(clusterOf(n5)).toBe(clusterOf(n1))
    },
    LONG_MS,
  )

  test(
    'that lead to another cluster are not followed by a node with data',
    async () => {
      await using machines = new Machines()
      const [n1, n2] = await withLetters(machines)
      const stranger = machines.machine('x1')
      await stranger.start({ begin: true })
      const listen = n2.address
      await n2.stop()
      await n2.start({ listen, seeds: [stranger.address] })
      await until('n1 has it for up', () => n1.node.isUp('n2'))
      expect(clusterOf(n2)).toBe(clusterOf(n1))
      expect(n2.errors.map(({ text }) => text)).toContain('a node is not what its name stands for')
      expect(stranger.errors.map(({ text }) => text)).toContain('a node is not what its name stands for')
    },
    LONG_MS,
  )
})

describe('a cluster in one process', () => {
  test(
    'is what its directory holds: how many nodes it has need not be said, and others are not begun beside it',
    async () => {
      await using machines = new Machines()
      const path = machines.folder
      mkdirSync(join(path, 'lost+found'))
      await expect(openCluster({ path })).rejects.toMatchObject({
        message: /nodes must be given: there is no data yet/,
      })
      {
        await using cluster = await openCluster({ path, nodes: 4, partitions: 16 })
        await cluster.node(1).objects.createBucket('letters')
        for (const key of KEYS) await cluster.node(1).objects.put('letters', key, `Dear reader of ${key},`)
        const { cluster: control } = cluster.node(1)
        await control.stage({ kind: 'leave', node: 'n4' })
        await control.commit(await control.plan())
        await cluster.node('n4').left
      }
      const names = readdirSync(path).sort()
      await expect(openCluster({ path, nodes: ['a', 'b', 'c'] })).rejects.toMatchObject({
        code: 'ATOLL_FORMAT',
        message:
          'the data of n1, n2, n3, n4 is there, and none of a, b, c: another cluster is not begun beside it',
      })
      await expect(openCluster({ path, nodes: ['n1', 'b', 'c'] })).rejects.toMatchObject({
        code: 'ATOLL_FORMAT',
      })
      await using cluster = await openCluster({ path })
      expect(cluster.names).toEqual(['n1', 'n2', 'n3'])
      for (const key of KEYS) expect(await textOf(cluster.node(2), key)).toBe(`Dear reader of ${key},`)
      expect(readdirSync(path).sort()).toEqual(names)
    },
    LONG_MS,
  )
})
