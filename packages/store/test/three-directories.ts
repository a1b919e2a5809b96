import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { AtollNode } from '@atoll/node'
import { tcp } from '@atoll/transport-tcp'
import { freePort } from '../../transport-tcp/test/world.ts'
import { type OpenNodeOptions, openNode } from '../src/index.ts'

export const NAMES = ['n1', 'n2', 'n3'] as const
type Name = (typeof NAMES)[number]

const SECRET = 'three directories of one machine'
const PATIENCE_MS = 150_000

/** Three nodes on directories of their own that talk over TCP, as three machines would; of n = 3. */
export class ThreeDirectories {
  readonly #path: string
  readonly #nodes = new Map<Name, AtollNode>()
  readonly #addresses = new Map<Name, string>()

  constructor(path: string) {
    this.#path = path
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of NAMES) await this.stop(name)
  }

  node(name: Name): AtollNode {
    const node = this.#nodes.get(name)
    if (node === undefined) throw new Error(`${name} is stopped`)
    return node
  }

  /** A cluster of three, with a bucket. */
  async begin(): Promise<void> {
    for (const name of NAMES) this.#addresses.set(name, `127.0.0.1:${await freePort()}`)
    for (const name of NAMES) await this.start(name)
    const { cluster, objects } = this.node('n1')
    await cluster.commit(await cluster.plan())
    await cluster.settled({ signal: AbortSignal.timeout(PATIENCE_MS) })
    await objects.createBucket('reef')
    await this.#together()
  }

  async start(name: Name, options: Partial<OpenNodeOptions> = {}): Promise<AtollNode> {
    const listen = this.#addresses.get(name) ?? ''
    const seeds = [...this.#addresses.values()]
    const transport = tcp({ cluster: 'reef', secret: SECRET, listen })
    const path = join(this.#path, name)
    const node = await openNode({ path, name, partitions: 16, transport, begin: 'n1', seeds, ...options })
    this.#nodes.set(name, node)
    if (this.#nodes.size === NAMES.length) await this.#together()
    return node
  }

  async stop(name: Name): Promise<void> {
    const node = this.#nodes.get(name)
    this.#nodes.delete(name)
    await node?.close()
  }

  /** Copies the directory of a node as it lies there. */
  async backUp(name: Name): Promise<void> {
    await cp(join(this.#path, name), join(this.#path, `${name}.copy`), { recursive: true })
  }

  /** Puts the copy in the place of the directory. */
  async putBack(name: Name): Promise<void> {
    await rm(join(this.#path, name), { recursive: true })
    await cp(join(this.#path, `${name}.copy`), join(this.#path, name), { recursive: true })
  }

  async write(through: Name, text: string, keys: readonly string[]): Promise<void> {
    const { objects } = this.node(through)
    for (const key of keys) await objects.put('reef', key, `${key} ${text}`)
  }

  /** At each node, how many of the keys read as anything else than what was written last. */
  async wrong(text: string, keys: readonly string[]): Promise<Record<string, number>> {
    const counts: Record<string, number> = {}
    for (const name of NAMES) {
      const { objects } = this.node(name)
      let wrong = 0
      for (const key of keys) {
        const { body } = await objects.get('reef', key)
        const chunks: Uint8Array[] = []
        for await (const chunk of body) chunks.push(chunk)
        if (Buffer.concat(chunks).toString() !== `${key} ${text}`) wrong += 1
      }
      counts[name] = wrong
    }
    return counts
  }

  /** Resolves when each node takes each other one for being up, and knows the same document. */
  async #together(): Promise<void> {
    await until(() => {
      const nodes = [...this.#nodes.values()]
      const epochs = new Set(nodes.map((node) => node.cluster.status().epoch))
      return epochs.size === 1 && nodes.every((node) => NAMES.every((name) => node.isUp(name)))
    })
  }
}

export async function until(holds: () => boolean): Promise<void> {
  const endMs = Date.now() + PATIENCE_MS
  while (!holds()) {
    if (Date.now() > endMs) throw new Error(`waited in vain: ${holds}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
