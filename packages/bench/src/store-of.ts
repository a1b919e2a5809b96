import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { systemRuntime } from '@atoll/node'
import type { partitionOf } from '@atoll/ring'
import type { openCluster, openNode, tcp } from '@atoll/store'
import type { MemoryNetwork, RpcEndpoint } from '@atoll/transport'

/** What is measured of a build. */
export interface Store {
  readonly openCluster: typeof openCluster
  /** Options that builds do not agree on are not for the compiler to judge. */
  readonly openNode: (options: object) => ReturnType<typeof openNode>
  readonly tcp: typeof tcp
}

/** What messages are measured by. */
export interface Messaging {
  readonly MemoryNetwork: typeof MemoryNetwork
  /** Options that builds do not agree on are not for the compiler to judge. */
  readonly RpcEndpoint: new (
    runtime: ConstructorParameters<typeof RpcEndpoint>[0],
    collaborators: ConstructorParameters<typeof RpcEndpoint>[1],
    options: object,
  ) => RpcEndpoint
}

/** That of another build is the same seen from here. */
export async function storeOf(packages: string): Promise<Store> {
  const { path, module } = await moduleOf<Store>(packages, 'store')
  const { openCluster, openNode, tcp } = module
  if (openCluster === undefined || openNode === undefined || tcp === undefined)
    throw new TypeError(`${path} is no store`)
  return { openCluster, openNode, tcp }
}

export async function messagingOf(packages: string): Promise<Messaging> {
  const { path, module } = await moduleOf<Messaging>(packages, 'transport')
  const { MemoryNetwork, RpcEndpoint } = module
  if (MemoryNetwork === undefined || RpcEndpoint === undefined) throw new TypeError(`${path} has no messages`)
  return { MemoryNetwork, RpcEndpoint }
}

/** What makes a runtime of that build. */
export async function runtimesOf(packages: string): Promise<typeof systemRuntime> {
  const { path, module } = await moduleOf<{ readonly systemRuntime: typeof systemRuntime }>(packages, 'node')
  if (module.systemRuntime === undefined) throw new TypeError(`${path} has no runtime`)
  return module.systemRuntime
}

/** How that build finds the partition of a key. */
export async function partitionsOf(packages: string): Promise<typeof partitionOf> {
  const { path, module } = await moduleOf<{ readonly partitionOf: typeof partitionOf }>(packages, 'ring')
  if (module.partitionOf === undefined) throw new TypeError(`${path} has no ring`)
  return module.partitionOf
}

async function moduleOf<Exports>(packages: string, name: string) {
  const path = resolve(packages, 'packages', name, 'dist/index.js')
  const module: Partial<Exports> = await import(pathToFileURL(path).href)
  return { path, module }
}
