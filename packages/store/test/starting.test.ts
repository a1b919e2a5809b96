import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { openCluster } from '../src/index.ts'
import {
  areTogether,
  clusterOf,
  endThreads,
  freeAddresses,
  KEYS,
  Machines,
  readAll,
  textOf,
  until,
  withLetters,
} from './story/machines.ts'

afterAll(endThreads)

const LONG_MS = 300_000

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
      const waiting = early.start({ listen: addresses[1] ?? '', seeds: addresses, joinTimeoutMs: 100_000 })
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
        message: 'the cluster was begun with n = 3, not 5',
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
      expect(n2.errors.map(({ text }) => text)).toContain(
        'a node of a known name has other data than the cluster knows of that name',
      )
      expect(stranger.errors.map(({ text }) => text)).toContain(
        'a node of a known name has other data than the cluster knows of that name',
      )
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
