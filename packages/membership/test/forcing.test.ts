import { createWorld } from '@atoll/sim'
import { MemoryNetwork, RpcEndpoint } from '@atoll/transport'
import { expect, test } from 'vitest'
import {
  type ClusterDocument,
  encodeDocument,
  firstDocument,
  Membership,
  type MembershipStorage,
  setAddress,
} from '../src/index.ts'

/** A storage whose writes of documents wait for a gate while there is one. */
class GatedStorage implements MembershipStorage {
  gate: Promise<void> | undefined
  readonly #values = new Map<string, Uint8Array>()

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#values.get(key)
  }

  async put(key: string, value: Uint8Array): Promise<void> {
    await this.gate
    this.#values.set(key, value)
  }
}

async function memberOfTwo() {
  const world = createWorld({ seed: 1 })
  const transport = new MemoryNetwork(world.runtime('network')).transport('n1:1')
  const endpoint = new RpcEndpoint(
    world.runtime('n1'),
    { transport, addressOf: (node) => `${node}:1` },
    { node: 'n1' },
  )
  const storage = new GatedStorage()
  const membership = new Membership(world.runtime('n1'), { endpoint, storage }, { node: 'n1' })
  await endpoint.open()
  await membership.open()
  const members = [
    { node: 'n1', id: membership.id, address: 'n1:1' },
    { node: 'n2', id: '2'.repeat(16), address: 'n2:1' },
  ]
  const document = firstDocument({ clusterId: 'c', members, partitions: 8 })
  await membership.bootstrap(document)
  const close = async () => {
    await membership.close()
    await endpoint.close()
  }
  return { membership, storage, document, close }
}

test('a change is not forced on a document past one that is being stored: the later one stays', async () => {
  const { membership, storage, document, close } = await memberOfTwo()
  const seen: number[] = []
  membership.events.on('changed', ({ epoch }) => seen.push(epoch))
  let open = () => {}
  storage.gate = new Promise((resolve) => {
    open = resolve
  })
  const learned = membership.learn(encodeDocument(setAddress(document, 'n2', 'elsewhere:1')))
  const unchanged = (known: ClusterDocument) => known
  const forced = membership.force(unchanged, { missing: ['n2'], reason: 'fire' })
  open()
  await expect(learned).resolves.toBe(true)
  await expect(forced).rejects.toMatchObject({
    code: 'ATOLL_STALE_PLAN',
    message: expect.stringContaining('look at it and force again'),
  })
  expect(membership.document?.epoch).toBe(2)
  const again = await membership.force(unchanged, { missing: ['n2'], reason: 'fire' })
  expect(again.members.get('n2')).toMatchObject({ address: 'elsewhere:1', state: 'down' })
  expect(seen).toEqual([2, 1_000_001])
  await close()
})
