import { encodeTuple, utf8 } from '@atoll/core'
import { type Cluster, createCluster } from '@atoll/node'
import { createWorld, DiskCopy, type World } from '@atoll/sim'
import { expect, test } from 'vitest'
import { asBegunBefore, asOfBefore, leftOfBefore, type Row } from '../src/older-rows.ts'

const NAMES = ['n1', 'n2', 'n3']
const KEYS = ['a\0b', 'a\0\0', 'c', 'd/e']
const bodyOf = (key: string) => `of ${key} `.repeat(40)

const open = (world: World): Promise<Cluster> =>
  createCluster({
    nodes: NAMES,
    partitions: 8,
    runtime: (name) => world.runtime(name),
    storage: (name) => world.disk(name).open(),
    objects: { blockBytes: 4096, inlineBytes: 1000 },
    vnodes: { inlineBytes: 50 },
  })

const rowsOf = (world: World, name: string): readonly Row[] => world.disk(name).copy().entries
const named = (rows: readonly Row[], pattern: RegExp) =>
  rows.filter(({ key }) => pattern.test(Buffer.from(key).toString('latin1')))

async function listed(cluster: Cluster): Promise<readonly string[]> {
  return (await cluster.node(2).objects.list('reef')).objects.map(({ key }) => key)
}

test('a database as a build before would have left it is read, converted, and says so', async () => {
  const world = createWorld({ seed: 1 })
  await world.run(async () => {
    {
      await using cluster = await open(world)
      await cluster.node(1).objects.createBucket('reef')
      for (const key of KEYS) await cluster.node(1).objects.put('reef', key, bodyOf(key))
      await cluster.idle()
    }
    for (const name of NAMES) {
      const before = rowsOf(world, name)
      expect(leftOfBefore(before)).toEqual([])
      expect(named(before, /^!\d{4}!!body!/).length).toBeGreaterThan(0)
      const rows = asOfBefore(before)
      expect(leftOfBefore(rows).length).toBe(3)
      expect(named(rows, /^!\d{4}!!(body|head)!|^!meta!!index!|^!meta!count!|generation$/)).toEqual([])
      expect(named(rows, /^!\d{4}!!data!/).length).toBe(named(before, /^!\d{4}!!head!/).length)
      expect(named(rows, /^!\d{4}!!index!/).length).toBe(named(before, /^!meta!!index!/).length)
      const [format] = named(rows, /^!meta!format$/)
      const note = encodeTuple(2, ['atoll vnodes', name, 8, true])
      expect(Buffer.from(format!.value).subarray(0, note.length)).toEqual(Buffer.from(note))
      const begun = asBegunBefore(before)
      expect(named(begun, /!document$/)[0]!.value[0]).toBe(1)
      world.disk(name).restore(DiskCopy.of(begun))
    }
    await using cluster = await open(world)
    expect(await listed(cluster)).toEqual([...KEYS].sort())
    for (const { name, vnodes } of cluster.nodes) {
      await vnodes.converted
      expect(leftOfBefore(rowsOf(world, name))).toEqual([])
    }
    expect(await listed(cluster)).toEqual([...KEYS].sort())
    for (const key of KEYS) {
      const chunks: Uint8Array[] = []
      for await (const chunk of (await cluster.node(3).objects.get('reef', key)).body) chunks.push(chunk)
      expect(Buffer.concat(chunks).toString()).toBe(bodyOf(key))
    }
  })
})

test('what is damaged stays so', () => {
  const rows = [
    { key: utf8('!meta!format'), value: utf8('rotten') },
    { key: utf8('!0001!!meta!incarnation'), value: utf8('rotten') },
  ]
  const value = new Uint8Array(utf8('\x01rotten rotten'))
  const head = { key: utf8('!0001!!head!x\0\x01seb\0\x01k'), value }
  const older = { key: utf8('!0001!!data!x\0\x01b\0\x01k'), value }
  expect(asOfBefore([...rows, head])).toEqual([...rows, older])
  expect(leftOfBefore(rows)).toEqual([])
  expect(leftOfBefore([older])).toEqual(['1 records without their segments'])
})
