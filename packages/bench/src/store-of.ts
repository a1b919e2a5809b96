import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { openCluster, openNode, tcp } from '@atoll/store'

/** What is measured of a build. */
export interface Store {
  readonly openCluster: typeof openCluster
  /** Options that builds do not agree on are not for the compiler to judge. */
  readonly openNode: (options: object) => ReturnType<typeof openNode>
  readonly tcp: typeof tcp
}

/** That of another build is the same seen from here. */
export async function storeOf(packages: string): Promise<Store> {
  const path = resolve(packages, 'packages/store/dist/index.js')
  const module: Partial<Store> = await import(pathToFileURL(path).href)
  const { openCluster, openNode, tcp } = module
  if (openCluster === undefined || openNode === undefined || tcp === undefined)
    throw new TypeError(`${path} is no store`)
  return { openCluster, openNode, tcp }
}
