import { createWorld } from '@atoll/sim'
import { MemoryNetwork, RpcEndpoint } from '@atoll/transport'
import { expect, test } from 'vitest'
import { encodeDocument, firstDocument } from '../src/index.ts'
import { joinThrough } from '../src/joining.ts'
import { Ledger } from '../src/ledger.ts'
import { joinMethod } from '../src/methods.ts'
import { join } from './kit.ts'

test('a document that arrives damaged refuses nobody: the seed is asked again', async () => {
  const world = createWorld({ seed: 1 })
  await world.run(async () => {
    const network = new MemoryNetwork(world.runtime('network'))
    const endpointOf = (node: string) => {
      const parts = { transport: network.transport(node), addressOf: (name: string) => name }
      return new RpcEndpoint(world.runtime(node), parts, { node })
    }
    const [seed, endpoint] = [endpointOf('n1'), endpointOf('n2')]
    for (const each of [seed, endpoint]) await each.open()
    const runtime = world.runtime('n2')
    const storage = { get: async () => undefined, put: async () => {} }
    const ledger = new Ledger(runtime, {
      storage,
      node: 'n2',
      maxQueued: 10,
      remembers: () => true,
      onChanged: () => {},
      onForked: () => {},
    })
    await ledger.load()
    const members = ['n1', 'n2'].map((node) => ({
      node,
      id: node === 'n2' ? ledger.id : '1'.repeat(16),
      address: node,
    }))
    const whole = encodeDocument(firstDocument({ clusterId: 'c', members, partitions: 8 }))
    const answers = [whole.subarray(0, 20), whole]
    seed.handle(joinMethod, async () => ({ bytes: answers.shift() ?? whole }))
    const request = { change: join('n2') }
    const { signal } = new AbortController()
    await joinThrough(runtime, { endpoint, ledger }, { seeds: ['n1'], request, signal })
    expect(answers).toEqual([])
    expect(ledger.known?.document.epoch).toBe(1)
    for (const each of [seed, endpoint]) await each.close()
  })
})
