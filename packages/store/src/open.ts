import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  checkKnown,
  checkText,
  describe,
  isName,
  messageOf,
  type Runtime,
  storageFailure,
  wrongRange,
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
import { levelExists, nodeFiles, ValueLogLevel } from '@atoll/value-log-level'
import { ClassicLevel } from 'classic-level'
import { MemoryLevel } from 'memory-level'

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

/** One node on one directory, or in memory. Errors are those of `createNode`. */
export async function openNode(options: OpenNodeOptions = {}): Promise<AtollNode> {
  checkKnown('openNode', options, NODE_NAMES)
  const { path, ...rest } = options
  if (path === undefined) return createNode({ ...rest, storage: inMemory() })
  await makeDirectory(path)
  return createNode({ ...rest, storage: (runtime) => valueLog(path, runtime) })
}

/**
 * A cluster inside this process, on one directory or in memory. A node in memory that crashes comes back with what it
 * had. `nodes` may be left out for a directory that holds a cluster. Errors are those of `createCluster`.
 */
export async function openCluster(options: OpenClusterOptions): Promise<Cluster> {
  checkKnown('openCluster', options, CLUSTER_NAMES)
  const { path, ...rest } = options
  if (path === undefined) {
    // memory-level keeps its contents when it is closed and opened again, so a restart takes the same database.
    return createCluster({ ...rest, storage: remembering(inMemory) })
  }
  await makeDirectory(path)
  const storage = (node: string, runtime: Runtime) => valueLog(join(path, node), runtime)
  return createCluster({ ...rest, held: await nodesIn(path), storage })
}

/** `storage`, `onCrash` and `held` follow from the path. */
function namesWithPath(names: readonly string[]): readonly string[] {
  return ['path', ...names.filter((name) => !['storage', 'onCrash', 'held'].includes(name))]
}

/** The names of the directories that hold the data of a node. */
async function nodesIn(path: string): Promise<readonly string[]> {
  const names = (await readdir(path)).filter(isName).sort()
  const hold = await Promise.all(names.map((name) => levelExists(join(path, name, 'index'))))
  return names.filter((_, at) => hold[at] === true)
}

/** Values of 4 KiB and more, the blocks, are written once into segments; classic-level holds all else, and pointers. */
function valueLog(path: string, runtime: Runtime) {
  const index = join(path, 'index')
  const inner = new ClassicLevel<Uint8Array, Uint8Array>(index, VIEW)
  const parts = {
    inner,
    innerExists: () => levelExists(index),
    innerFiles: nodeFiles(index),
    files: nodeFiles(join(path, 'log')),
  }
  return new ValueLogLevel<Uint8Array, Uint8Array>(runtime, parts, VIEW)
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

/**
 * Throws `TypeError` or `RangeError` for what names no directory, `ATOLL_DISK_FULL` or `ATOLL_STORAGE` if none can be
 * made.
 */
async function makeDirectory(path: unknown): Promise<void> {
  const name = checkText('path', path, /^[^\0]+$/, 'the name of a directory')
  try {
    await mkdir(name, { recursive: true })
  } catch (error) {
    const isFile = /EEXIST|ENOTDIR/.test(messageOf(error))
    if (isFile) throw wrongRange('path', `must be a directory, and a file is there: ${describe(name)}`)
    const message = `the directory ${describe(name)} cannot be made: ${messageOf(error)}`
    throw storageFailure(message, error, { definite: true })
  }
}
