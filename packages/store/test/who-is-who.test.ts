import { cpSync, renameSync } from 'node:fs'
import { assert, isAtollError } from '@atoll/core'
import { afterAll, describe, expect, test } from 'vitest'
import {
  areTogether,
  clusterOf,
  endThreads,
  freeAddresses,
  KEYS,
  type Machine,
  Machines,
  readAll,
  rightOf,
  textOf,
  until,
  withLetters,
} from './story/machines.ts'

afterAll(endThreads)

const LONG_MS = 300_000

/** What a node is told that the cluster knows with other data, and the id of the data that it has now. */
async function refusalOf(starting: Promise<unknown>): Promise<{ message: string; id: string }> {
  const error = await starting.then(
    () => expect.unreachable('it is refused'),
    (reason: unknown) => reason,
  )
  assert(isAtollError(error, 'ATOLL_FORMAT'), String(error))
  const { id } = error.details
  assert(typeof id === 'string', 'the id is among the details')
  return { message: error.message, id }
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
      expect(all.map(clusterOf)).toEqual([id, id, id])
      await readAll(all)
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
        expect(machine.errors.map(({ text }) => text)).toContain(
          'a node of a known name has other data than the cluster knows of that name',
        )
        // One line for each of the other names, however often they knock.
        expect(machine.errors.length).toBeLessThanOrEqual(2)
        expect(machine.errors.map(({ fields }) => JSON.stringify(fields)).join()).toContain(clusterOf(n1))
      }
      await until('it is not up to them', () => [n2, n3].every(({ node }) => !node.isUp('n1')))
      expect((await n1.node.objects.listBuckets()).buckets).toEqual([])
      await expect(textOf(n1.node, KEYS[0] ?? '')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_NOT_FOUND' })
      await readAll([n2, n3])
      await n2.node.objects.put('letters', 'after', 'Dear reader of after,')
      expect(await rightOf(n3, ['after'])).toBe(1)
      expect(n1.metrics.value('atoll_rpc_refused_total', { code: 'ATOLL_FORMAT' })).toBeGreaterThan(0)
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
      const { message, id } = await refusalOf(n1.start(start))
      expect(message).toContain(`stage { kind: 'force-replace', node: 'n1', by: 'n1', id: '${id}' } on`)
      const { cluster } = n2.node
      await cluster.stage({ kind: 'force-replace', node: 'n1', by: 'n1', id })
      await cluster.commit(await cluster.plan())
      await n1.start(start)
      await until('they are together', () => areTogether(all))
      await cluster.settled({ signal: AbortSignal.timeout(150_000) })
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
      const { id } = await refusalOf(n1.start({ listen, seeds: [n2.address] }))
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

describe('a copy of a directory', () => {
  test(
    'that is started beside the original is talked to by nobody',
    async () => {
      await using machines = new Machines()
      const all = await withLetters(machines)
      const [n1, n2, n3] = all
      const listen = n2.address
      await n2.stop()
      const copy = machines.machine('copy')
      cpSync(n2.path, copy.path, { recursive: true })
      await n2.start({ listen })
      await until('they are together', () => areTogether(all))
      await copy.start({ name: 'n2', seeds: [n1.address, n3.address] })
      await expect(textOf(copy.node, KEYS[0] ?? '')).rejects.toMatchObject({ name: 'AtollError' })
      expect([copy.node.isUp('n1'), copy.node.isUp('n3')]).toEqual([false, false])
      const addressOf = ({ node }: Machine) =>
        node.cluster.status().members.find((member) => member.node === 'n2')?.address
      expect([n1, n3].map(addressOf)).toEqual([listen, listen])
      await readAll(all)
    },
    LONG_MS,
  )

  test(
    'from when it was alone, at another address, meets the others however late its seeds come',
    async () => {
      await using machines = new Machines()
      const [n1, n2, n3] = ['n1', 'n2', 'n3'].map((name) => machines.machine(name))
      if (n1 === undefined || n2 === undefined || n3 === undefined) throw new Error('three were made')
      await n1.start({ begin: true })
      await n1.node.objects.createBucket('letters')
      await n1.stop()
      const copy = machines.machine('copy')
      cpSync(n1.path, copy.path, { recursive: true })
      await n1.start()
      for (const other of [n2, n3]) await other.start({ seeds: [n1.address] })
      await n1.node.cluster.commit(await n1.node.cluster.plan())
      await n1.node.cluster.settled({ signal: AbortSignal.timeout(150_000) })
      for (const key of KEYS) await n2.node.objects.put('letters', key, `Dear reader of ${key},`)
      await Promise.all([n1, n2, n3].map((machine) => machine.stop()))
      const [listen = ''] = await freeAddresses(1)
      await copy.start({ name: 'n1', seeds: [listen] })
      expect(await rightOf(copy)).toBe(0)
      await n2.start({ listen })
      await n3.start({ seeds: [listen] })
      await until('they have one document', () =>
        [copy, n2, n3].every(({ node }) =>
          node.cluster.status().members.every(({ node: name }) => node.isUp(name)),
        ),
      )
      await readAll([copy, n2, n3])
    },
    LONG_MS,
  )
})
