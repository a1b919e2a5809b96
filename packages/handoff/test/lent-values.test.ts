import { decodeRecord, encodeRecord, type StoredRecord } from '@atoll/causality'
import { borrowedCopy } from '@atoll/core'
import { expect, test } from 'vitest'
import { content, id, write } from '../../vnode/test/world.ts'
import { validateHandoffOptions } from '../src/options.ts'
import { Receiver } from '../src/receiver.ts'
import { Atoll, type Island, OWNED_BY_N1 } from './atoll.ts'

const NAMES = ['n1', 'n2']
const PARTITION = 1
const BYTES = 2048

const valuesOf = (records: readonly StoredRecord[]) =>
  records.flatMap(({ siblings }) => siblings.map(({ value }) => value))
/** In these tests an array that was given back is overwritten at once. */
const isGivenBack = (value: Uint8Array) => value.every((byte) => byte === 0xdd)

/** As a database reads it that keeps values in a log, or as it arrives on a socket. */
function lent(record: StoredRecord): StoredRecord {
  const { head, body } = encodeRecord(record)
  return decodeRecord(head, borrowedCopy(body))
}

async function fill(node: Island): Promise<void> {
  for (let at = 0; at < 8; at++)
    await node.host.coordinate(write(id(`k${at}`), content(new Uint8Array(BYTES).fill(at + 1)), PARTITION))
}

/** What a vnode reads with its values from now on. */
function watchReads({ host }: Island): readonly StoredRecord[] {
  const read: StoredRecord[] = []
  const handoffOf = host.handoffOf.bind(host)
  host.handoffOf = (partition) => {
    const vnode = handoffOf(partition)
    const readRecord = vnode.read.bind(vnode)
    vnode.read = async (of) => {
      const { record: stored, ...reply } = await readRecord(of)
      if (stored === undefined) return { ...reply, record: undefined }
      const record = lent(stored)
      read.push(record)
      return { ...reply, record }
    }
    return vnode
  }
  return read
}

test('values that were read to be sent are given back when they are there', async () => {
  await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
    const [n1, n2] = NAMES.map((name) => atoll.node(name)) as [Island, Island]
    await fill(n1)
    const read = watchReads(n1)
    await n1.handoffs.transfer(PARTITION, 'n2')
    expect(read).toHaveLength(8)
    expect(valuesOf(read).every(isGivenBack)).toBe(true)
    for (let at = 0; at < 8; at++) {
      const { record, corrupt } = await n2.host.get({ partition: PARTITION, id: id(`k${at}`) })
      expect(corrupt).toBe(false)
      expect(valuesOf([record!])).toEqual([new Uint8Array(BYTES).fill(at + 1)])
    }
  })
})

test.each([true, false])(
  'what has arrived is given back when it is durable, if nobody else has it: %s',
  async (ownsBody) => {
    await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
      const [n1, n2] = NAMES.map((name) => atoll.node(name)) as [Island, Island]
      await fill(n1)
      const { record } = await n1.host.get({ partition: PARTITION, id: id('k0') })
      const parts = { host: n2.host, stopGiving: () => false, checkRing: () => {} }
      const receiver = new Receiver(n2.runtime, parts, validateHandoffOptions({}))
      const { signal } = new AbortController()
      const sent = lent(record!)
      const request = {
        partition: PARTITION,
        kind: 'transfer',
        records: [{ id: id('k0'), record: sent }],
      } as const
      await receiver.send(request, { from: 'n1', signal, remainingMs: 1000, ownsBody })
      expect(valuesOf([sent]).every(isGivenBack)).toBe(ownsBody)
      const { record: there } = await n2.host.get({ partition: PARTITION, id: id('k0') })
      expect(valuesOf([there!])).toEqual([new Uint8Array(BYTES).fill(1)])
    })
  },
)
