import { MiB, utf8 } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import { partitionOf } from '@atoll/ring'
import { afterAll, expect, test } from 'vitest'
import { areTogether, endThreads, type Machine, Machines, until } from './story/machines.ts'

const NAMES = ['n1', 'n2', 'n3', 'n4']
const ID = { type: 'default', bucket: utf8('b'), key: utf8('k') }
const BOTH = [5 * MiB, 5 * MiB]
const LONG_MS = 300_000

afterAll(endThreads)

function partitionIn({ ring, runtime }: AtollNode): number {
  return partitionOf(ID, ring.partitions, runtime.digest.sha1)
}

function holdersBy(node: AtollNode): readonly string[] {
  return node.placement.primaries(partitionIn(node), 3).map((entry) => entry.node)
}

/** Bytes of each version that the node has itself. */
async function versionsAt({ node }: Machine): Promise<readonly number[]> {
  const { record } = await node.vnodes.get({ partition: partitionIn(node), id: ID })
  return (record?.siblings ?? []).map(({ value }) => value.length)
}

/** As a node takes a write that is cut off from all others. */
async function writeApart({ node }: Machine, fill: number): Promise<void> {
  const value = new Uint8Array(5 * MiB).fill(fill)
  const content = { value, metadata: new Map(), tombstone: false, expiresAtMs: undefined, indexes: [] }
  await node.vnodes.coordinate({
    partition: partitionIn(node),
    id: ID,
    content,
    valueCrc32: node.runtime.digest.crc32(value),
    context: undefined,
    writeId: new Uint8Array(16).fill(fill),
  })
}

test(
  'two versions of 5 MiB, written apart, are read, repaired and handed off over TCP',
  async () => {
    await using machines = new Machines()
    const all = await machines.cluster(...NAMES)
    const [first] = all
    if (first === undefined) throw new Error('four machines')
    const knowTheSame = () => all.every(({ node }) => node.placement.epoch === first.node.placement.epoch)
    await until('all see each other, and know who holds what', () => areTogether(all) && knowTheSame())
    const holders = () => holdersBy(first.node).map((name) => machines.machine(name))
    const areWhole = async () =>
      (await Promise.all(holders().map(versionsAt))).every((versions) => versions.length === BOTH.length)
    const [one, other] = holders()
    if (one === undefined || other === undefined) throw new Error('three holders')

    await writeApart(one, 1)
    await writeApart(other, 2)
    for (const { node } of all) {
      const { values } = await node.kv.get(ID, { repair: true })
      expect(values.map(({ value }) => value.length)).toEqual(BOTH)
      expect(values.map(({ value }) => value[0]).sort()).toEqual([1, 2])
    }
    await until('the reads have repaired every holder', areWhole)

    await other.node.vnodes.drop(partitionIn(other.node))
    expect(await versionsAt(other)).toEqual([])
    await first.node.kv.get(ID, { repair: true })
    await until('the one that had lost it has it again', areWhole)

    await one.node.cluster.stage({ kind: 'leave', node: other.name })
    await one.node.cluster.commit(await one.node.cluster.plan())
    await one.node.cluster.settled({ signal: AbortSignal.timeout(150_000) })
    expect(holdersBy(one.node)).not.toContain(other.name)
    for (const name of holdersBy(one.node)) expect(await versionsAt(machines.machine(name))).toEqual(BOTH)
  },
  LONG_MS,
)
