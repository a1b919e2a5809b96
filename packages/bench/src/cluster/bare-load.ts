import { bodies } from '../bodies.ts'
import { BareClient } from './bare-client.ts'
import type { BareLoadOrder, LoadDone } from './commands.ts'
import { runLoad } from './run-load.ts'

/** Bytes to a bare server that sends them back. */
export async function bareLoad({ port, tls, sizeBytes, ...load }: BareLoadOrder): Promise<LoadDone> {
  const clients = await Promise.all(
    Array.from({ length: load.concurrency }, () => BareClient.dial(port, tls, sizeBytes)),
  )
  const bodyOf = bodies(sizeBytes)
  const done = await runLoad(load, async (n, worker) => {
    await clients[worker]?.exchange(bodyOf(n))
    return sizeBytes
  })
  for (const client of clients) client.close()
  return done
}
