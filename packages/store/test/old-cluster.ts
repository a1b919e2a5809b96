import { cpSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Metrics } from '@atoll/core'
import { type AtollNode, systemRuntime } from '@atoll/node'
import { MemoryNetwork } from '@atoll/transport'
import { nodeFiles, ValueLogLevel } from '@atoll/value-log-level'
import { ClassicLevel } from 'classic-level'
import { openNode } from '../src/index.ts'
import { until } from './three-directories.ts'

export const NAMES = ['n1', 'n2', 'n3'] as const
export type Name = (typeof NAMES)[number]

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const
/** As the build before was told, which has written the directories. */
const AS_BEFORE = { partitions: 16, objects: { inlineBytes: 512, blockBytes: 24 * 1024 } }

/** What is counted while it is converted: index entries first, then records. */
export const CONVERTED = {
  entries: 'atoll_vnode_reordered_index_entries_total',
  records: 'atoll_vnode_converted_records_total',
} as const
type Converted = (typeof CONVERTED)[keyof typeof CONVERTED]

/** Three nodes on directories that a build before has left, each opened by itself, that talk inside this process. */
export class OldCluster {
  readonly #path: string
  readonly #runtime = systemRuntime()
  readonly #network = new MemoryNetwork(this.#runtime, {})
  readonly #nodes = new Map<Name, AtollNode>()

  constructor(path: string) {
    this.#path = path
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopAll()
    await this.#runtime.close()
  }

  /** Those that run. */
  get nodes(): readonly AtollNode[] {
    return NAMES.flatMap((name) => this.#nodes.get(name) ?? [])
  }

  node(name: Name): AtollNode {
    const node = this.#nodes.get(name)
    if (node === undefined) throw new Error(`${name} does not run`)
    return node
  }

  pathOf(name: Name): string {
    return join(this.#path, name)
  }

  /** Opens a node. `onCount` is called in the middle of what is counted. */
  async start(name: Name, onCount: (metric: string, by: number) => void = () => {}): Promise<AtollNode> {
    const count: Metrics['count'] = (metric, by = 1) => onCount(metric, by)
    const metrics: Metrics = { count, gauge: () => {}, observe: () => {} }
    const create = (_: unknown, node: string) => this.#network.transport(node)
    const transport = { clusterName: 'memory', listen: name, advertise: name, create }
    const node = await openNode({ ...AS_BEFORE, path: this.pathOf(name), name, transport, metrics })
    this.#nodes.set(name, node)
    return node
  }

  /** Opens a node, and lets it lose its power in the middle of a conversion. Its directory is what that leaves. */
  async startAndKill(name: Name, during: Converted): Promise<void> {
    let isKilled = false
    const kept = `${this.pathOf(name)}.kept`
    const node = await this.start(name, (metric, by) => {
      if (metric !== during || by === 0 || isKilled) return
      isKilled = true
      // Nobody hears of it any more, and what its disk has now is what it has.
      this.#nodes.delete(name)
      this.#network.cut(name)
      cpSync(this.pathOf(name), kept, { recursive: true })
    })
    await until(() => isKilled)
    await node.abandon().catch(() => {})
    this.#nodes.delete(name)
    rmSync(this.pathOf(name), { recursive: true })
    renameSync(kept, this.pathOf(name))
    this.#network.restore(name)
  }

  /** Resolves when each node takes each other one for being up. */
  async together(): Promise<void> {
    await until(() => this.nodes.every((node) => this.nodes.every(({ name }) => node.isUp(name))))
  }

  async stopAll(): Promise<void> {
    const nodes = this.nodes
    this.#nodes.clear()
    await Promise.all(nodes.map((node) => node.close()))
  }
}

/** All that a node has stored, while it does not run; `change` may write to it. */
export async function rowsOf(
  path: string,
  change: (database: ValueLogLevel<Uint8Array, Uint8Array>) => Promise<void> = async () => {},
): Promise<readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]> {
  const runtime = systemRuntime()
  const inner = new ClassicLevel<Uint8Array, Uint8Array>(join(path, 'index'), VIEW)
  const parts = { inner, files: nodeFiles(join(path, 'log')) }
  const database = new ValueLogLevel<Uint8Array, Uint8Array>(runtime, parts, VIEW)
  try {
    await database.open()
    await change(database)
    const rows = await database.iterator({ ...VIEW }).all()
    return rows.map(([key, value]) => ({ key: Uint8Array.from(key), value: Uint8Array.from(value) }))
  } finally {
    await database.close()
    await runtime.close()
  }
}
