import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The checkout that this program belongs to. */
export const OWN_FOLDER = resolve(fileURLToPath(new URL('../../..', import.meta.url)))

/** Whether a checkout is of the time of 34230b9, when some options had other names: its replicas are no package. */
export function isEarlier(packages: string): boolean {
  return !existsSync(resolve(packages, 'packages/replicas'))
}
