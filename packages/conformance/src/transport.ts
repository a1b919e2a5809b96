import type { Transport } from '@atoll/transport'
import type { Harness } from './harness.ts'
import { closingTests } from './transport-closing.ts'
import { connectingTests } from './transport-connecting.ts'
import { frameTests } from './transport-frames.ts'

export interface TransportSubject {
  /** What the transport is called in the names of the tests. */
  readonly name: string
  /** A new network without faults, on which every address is free. */
  create(): Promise<TransportNetwork>
}

/** A network of the kind to be tested, for one test. */
export interface TransportNetwork {
  /** The network as a machine at `address` has it. */
  transport(address: string): Transport
  /** An address to listen at; the same for the same label. */
  addressFor(label: string): string
  close(): Promise<void>
}

/** Tests by name, each on a network of its own. */
export type TransportTests = Readonly<Record<string, (network: TransportNetwork) => Promise<void>>>

/** Registers the tests that a transport without faults must pass before nodes talk through it. */
export function transportSuite(harness: Harness, subject: TransportSubject): void {
  harness.describe(`${subject.name} as a transport`, () => {
    for (const [name, run] of Object.entries({ ...connectingTests, ...frameTests, ...closingTests })) {
      harness.test(name, async () => {
        const network = await subject.create()
        try {
          await run(network)
        } finally {
          await network.close()
        }
      })
    }
  })
}
