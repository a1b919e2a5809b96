import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import {
  AtollError,
  checkKnown,
  checkText,
  describe,
  isName,
  messageOf,
  type Runtime,
  storageFailure,
} from '@atoll/core'
import {
  type AtollNode,
  CLUSTER_OPTIONS,
  type Cluster,
  type ClusterOptions,
  createCluster,
  createNode,
  NODE_OPTIONS,
  type NodeOptions,
} from '@atoll/node'
import { levelExists, logExists } from '@atoll/value-log-level'
import { MemoryLevel } from 'memory-level'
import { valueLog } from './directory.ts'

/** What these two know: `path` instead of what `createNode` and `createCluster` need in its place. */
const NODE_NAMES = namesWithPath(NODE_OPTIONS)
const CLUSTER_NAMES = namesWithPath(CLUSTER_OPTIONS)

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const

export interface OpenNodeOptions extends Omit<NodeOptions, 'storage'> {
  /** Directory of the data, made if missing. Without it everything is in memory and gone at the end. */
  readonly path?: string
}

export interface OpenClusterOptions extends Omit<ClusterOptions, 'storage' | 'onCrash' | 'held'> {
  /** Directory of the data, with a directory for each node in it. Without it everything is in memory. */
  readonly path?: string
}

/** One node on one directory, or in memory. Errors are those of `createNode`; `ATOLL_FORMAT` for that of a cluster. */
export async function openNode(options: OpenNodeOptions = {}): Promise<AtollNode> {
  checkKnown('openNode', options, NODE_NAMES)
  const { path, ...rest } = options
  if (path === undefined) return createNode({ ...rest, storage: inMemory() })
  const directory = checkPath(path)
  if (!(await isOfNode(directory))) refuseCluster(directory, await nodesIn(directory))
  return createNode({ ...rest, storage: (runtime) => valueLog(directory, runtime) })
}

/**
 * A cluster inside this process, on one directory or in memory. A node in memory that crashes comes back with what it
 * had. `nodes` may be left out for a directory that holds a cluster. Errors are those of `createCluster`; `ATOLL_FORMAT`
 * for the directory of a single node.
 */
export async function openCluster(options: OpenClusterOptions): Promise<Cluster> {
  checkKnown('openCluster', options, CLUSTER_NAMES)
  const { path, ...rest } = options
  if (path === undefined) {
    // memory-level keeps its contents when it is closed and opened again, so a restart takes the same database.
    return createCluster({ ...rest, storage: remembering(inMemory) })
  }
  const directory = checkPath(path)
  if (await isOfNode(directory)) throw holdsNode(directory)
  const storage = (node: string, runtime: Runtime) => valueLog(join(directory, node), runtime)
  return createCluster({ ...rest, held: await nodesIn(directory), storage })
}

/** `storage`, `onCrash` and `held` follow from the path. */
function namesWithPath(names: readonly string[]): readonly string[] {
  return ['path', ...names.filter((name) => !['storage', 'onCrash', 'held'].includes(name))]
}

/** The names of the directories that hold the data of a node. */
async function nodesIn(path: string): Promise<readonly string[]> {
  const names = (await reading(path, () => namesIn(path))).filter(isName).sort()
  const hold = await Promise.all(names.map((name) => isOfNode(join(path, name))))
  return names.filter((_, at) => hold[at] === true)
}

/** Whether a directory holds the data of a node, or half of it. */
function isOfNode(path: string): Promise<boolean> {
  return reading(
    path,
    async () => (await levelExists(join(path, 'index'))) || (await logExists(join(path, 'log'))),
  )
}

/** None below what is missing, or is no directory. */
async function namesIn(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path)
  } catch (error) {
    if (/ENOENT|ENOTDIR/.test(messageOf(error))) return []
    throw error
  }
}

async function reading<T>(path: string, look: () => Promise<T>): Promise<T> {
  try {
    return await look()
  } catch (error) {
    throw storageFailure(`the directory ${describe(path)} cannot be read: ${messageOf(error)}`, error, {
      definite: true,
    })
  }
}

function refuseCluster(path: string, nodes: readonly string[]): void {
  if (nodes.length === 0) return
  const what = `${path} holds the nodes ${nodes.join(', ')} of a cluster`
  throw new AtollError(
    'ATOLL_FORMAT',
    `${what}: open all of them by openCluster, or one by its own directory`,
  )
}

function holdsNode(path: string): AtollError {
  const advice = 'open it by openNode. Nodes of a cluster have a directory each in another one'
  return new AtollError('ATOLL_FORMAT', `${path} holds a node: ${advice}`)
}

function inMemory() {
  return new MemoryLevel<Uint8Array, Uint8Array>({ ...VIEW, storeEncoding: 'view' })
}

/** What `make` made for a node the first time. */
function remembering<T>(make: (node: string) => T): (node: string) => T {
  const made = new Map<string, T>()
  return (node) => {
    const known = made.get(node) ?? make(node)
    made.set(node, known)
    return known
  }
}

/** From the root on: a path that begins at the working directory means another one when that changes. */
function checkPath(path: unknown): string {
  return resolve(checkText('path', path, /^[^\0]+$/, 'the name of a directory'))
}
