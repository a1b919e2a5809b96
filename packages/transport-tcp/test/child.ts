import { type TcpFactoryOptions, tcp } from '@atoll/transport-tcp'
import { createTalker } from './talk.ts'

/** What a process of its own is told: which node to be. */
export interface Order {
  readonly node: string
  readonly options: TcpFactoryOptions
}

/** And what it answers once it listens. */
export interface Opened {
  readonly address: string
}

process.once('message', async ({ node, options }: Order) => {
  const { endpoint } = createTalker(node, tcp(options), () => 'nowhere:1')
  await endpoint.open()
  process.send?.({ address: endpoint.address } satisfies Opened)
})
// Whoever started it is gone.
process.once('disconnect', () => process.exit())
