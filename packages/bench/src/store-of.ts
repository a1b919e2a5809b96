import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { openCluster } from '@atoll/store'

type Store = { readonly openCluster?: typeof openCluster }

/** `openCluster` of the build in that checkout: another one is seen as this one. */
export async function storeOf(packages: string): Promise<typeof openCluster> {
  const path = resolve(packages, 'packages/store/dist/index.js')
  const module: Store = await import(pathToFileURL(path).href)
  if (module.openCluster === undefined) throw new TypeError(`${path} has no openCluster`)
  return module.openCluster
}
