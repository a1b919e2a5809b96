import { createWorld } from '@atoll/sim'
import { MemoryNetwork, type MemoryNetworkOptions } from '@atoll/transport'
import { afterAll, describe, test } from 'vitest'
import { type TransportSubject, transportSuite } from '../src/index.ts'

const world = createWorld({ seed: 'conformance' })
const drive = world.drive()

function subject(name: string, options: MemoryNetworkOptions): TransportSubject {
  return {
    name,
    create: async () => {
      const network = new MemoryNetwork(world.runtime('network'), options)
      return {
        transport: (address) => network.transport(address),
        addressFor: (label) => label,
        close: async () => {},
      }
    },
  }
}

transportSuite({ describe, test }, subject('the network in memory', {}))
transportSuite(
  { describe, test },
  subject('the network in memory, with delays', { delayMs: { min: 0, max: 20 } }),
)

afterAll(() => drive.stop())
