import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { checkText } from '@atoll/core'
import {
  type AtollNode,
  type Cluster,
  type ClusterOptions,
  createCluster,
  createNode,
  type NodeOptions,
} from '@atoll/node'
import { nodeFiles, nodeRuntime, ValueLogLevel } from '@atoll/value-log-level'
import { ClassicLevel } from 'classic-level'
import { MemoryLevel } from 'memory-level'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const

export interface OpenNodeOptions extends Omit<NodeOptions, 'storage'> {
  /** Directory of the data, made if missing. Without it everything is in memory and gone at the end. */
  readonly path?: string
}

export interface OpenClusterOptions extends Omit<ClusterOptions, 'storage' | 'onCrash'> {
  /** Directory of the data, with a directory for each node in it. Without it everything is in memory. */
  readonly path?: string
}

/** One node on one directory, or in memory. Errors are those of `createNode`. */
export async function openNode(options: OpenNodeOptions = {}): Promise<AtollNode> {
  const { path, ...rest } = options
  if (path === undefined) return createNode({ ...rest, storage: inMemory() })
  return createNode({ ...rest, storage: await onDisk(path) })
}

/**
 * A cluster inside this process, on one directory or in memory. A node in memory that crashes comes back with what it
 * had. Errors are those of `createCluster`.
 */
export async function openCluster(options: OpenClusterOptions): Promise<Cluster> {
  const { path, ...rest } = options
  if (path === undefined) {
    const databases = new Map<string, ReturnType<typeof inMemory>>()
    return createCluster({ ...rest, storage: (node) => remember(databases, node) })
  }
  checkPath(path)
  await mkdir(path, { recursive: true })
  return createCluster({ ...rest, storage: (node) => valueLog(join(path, node)) })
}

async function onDisk(path: string) {
  checkPath(path)
  await mkdir(path, { recursive: true })
  return valueLog(path)
}

/** Values of 4 KiB and more, the blocks, are written once into segments; classic-level holds all else, and pointers. */
function valueLog(path: string) {
  const inner = new ClassicLevel<Uint8Array, Uint8Array>(join(path, 'index'), VIEW)
  const parts = { inner, files: nodeFiles(join(path, 'log')) }
  return new ValueLogLevel<Uint8Array, Uint8Array>(nodeRuntime(), parts, VIEW)
}

function inMemory() {
  return new MemoryLevel<Uint8Array, Uint8Array>({ ...VIEW, storeEncoding: 'view' })
}

/** memory-level keeps its contents when it is closed and opened again, so a restart takes the same database. */
function remember(databases: Map<string, ReturnType<typeof inMemory>>, node: string) {
  const known = databases.get(node) ?? inMemory()
  databases.set(node, known)
  return known
}

function checkPath(path: unknown): void {
  checkText('path', path, /^[^\0]+$/, 'the name of a directory')
}
