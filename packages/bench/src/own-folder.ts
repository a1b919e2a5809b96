import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The checkout that this program belongs to. */
export const OWN_FOLDER = resolve(fileURLToPath(new URL('../../..', import.meta.url)))
