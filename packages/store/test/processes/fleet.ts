import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Authority } from '../../../transport-tcp/test/authority.ts'
import { Cable } from './cable.ts'
import type { Order } from './commands.ts'
import { NodeProcess } from './node-process.ts'

const CLUSTER = 'reef'
const ANY_PORT = '127.0.0.1:0'

interface Berth {
  readonly transport: Order['transport']
  readonly cable: Cable | undefined
  process: NodeProcess
}

/**
 * Nodes with a certificate, a directory and a process each. Those with a cable are reached through it; the others listen
 * at any free port, and so come back at another address every time.
 */
export class Fleet {
  readonly #program: string
  readonly #directory = mkdtempSync(join(tmpdir(), 'atoll-five-processes-'))
  #first = ''
  readonly #berths = new Map<string, Berth>()

  constructor(program: string) {
    this.#program = program
  }

  /** The first begins a cluster, the others ask it to join. */
  async begin(names: readonly string[], { cables }: { readonly cables: readonly string[] }): Promise<void> {
    const authority = await Authority.create(CLUSTER)
    let seeds: Order['seeds'] = []
    this.#first = names[0] ?? ''
    for (const name of names) {
      const cable = cables.includes(name) ? await Cable.lay() : undefined
      const tls = await authority.issue(name, { cluster: CLUSTER })
      const ways = { listen: cable?.to ?? ANY_PORT, advertise: cable?.address }
      const transport = { cluster: CLUSTER, tls, ...ways }
      const process = this.#fork(name, transport, seeds)
      this.#berths.set(name, { transport, cable, process })
      const address = await process.opened
      if (seeds.length === 0) seeds = [address]
    }
  }

  get names(): readonly string[] {
    return [...this.#berths.keys()]
  }

  node(name: string): NodeProcess {
    return this.#berth(name).process
  }

  cable(name: string): Cable | undefined {
    return this.#berth(name).cable
  }

  /** Starts a node that was killed on its directory again; its cluster is in there. */
  async restart(name: string): Promise<void> {
    const berth = this.#berth(name)
    berth.process = this.#fork(name, berth.transport, [])
    await berth.process.opened
  }

  /** Ends what still runs, and removes all that was written. */
  async end(): Promise<void> {
    for (const { cable, process } of this.#berths.values()) {
      await process.kill()
      cable?.close()
    }
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
  }

  #fork(name: string, transport: Order['transport'], seeds: Order['seeds']): NodeProcess {
    const path = join(this.#directory, name)
    return new NodeProcess(this.#program, { name, path, transport, seeds, begin: this.#first })
  }

  #berth(name: string): Berth {
    const berth = this.#berths.get(name)
    if (berth === undefined) throw new RangeError(`${name} is none of ${this.names.join(', ')}`)
    return berth
  }
}
