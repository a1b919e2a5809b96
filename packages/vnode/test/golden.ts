import { readFileSync, writeFileSync } from 'node:fs'
import { fromHex, toHex } from '@atoll/core'

/** What an earlier build wrote, from `golden/`; `bytes` are what this one writes, for a file that is not there yet. */
export function goldenBytes(name: string, bytes: Uint8Array): Uint8Array {
  const path = new URL(`golden/${name}.hex`, import.meta.url)
  if (process.env['ATOLL_GOLDEN'] === 'write') writeFileSync(path, `${toHex(bytes)}\n`)
  return fromHex(readFileSync(path, 'utf8').trim())
}
