import { type TcpFactoryOptions, tcp } from '@atoll/transport-tcp'
import { COPY, createTalker, LATER } from './talk.ts'

/** What a program is told by its argument: whom to call, and how to be a node. */
export interface Errand {
  readonly address: string
  readonly options: TcpFactoryOptions
}

/** What it prints: what it was answered, and what kept its process alive while nobody waited for anything. */
export interface Told {
  readonly answer: string
  readonly copied: number
  readonly held: readonly string[]
}

// A node that asks another one, which takes its time, and that nobody closes.
const { address, options }: Errand = JSON.parse(process.argv[2] ?? '')
const { endpoint } = createTalker('n2', tcp(options), () => address)
await endpoint.open()
const answer = await endpoint.call('n1', LATER, 'well', { timeoutMs: 60_000 })
const stream = await endpoint.openStream('n1', COPY, '')
await stream.write(new Uint8Array(1000))
stream.end()
let copied = 0
for await (const chunk of stream) copied += chunk.length
// Standard output is not its business.
const held = process.getActiveResourcesInfo().filter((name) => /TCP|Timeout/.test(name))
console.log(JSON.stringify({ answer, copied, held } satisfies Told))
