import { cpSync, readdirSync, readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'

/** A copy of a directory that a build before has left, in a new directory within `work`. */
export function unpacked(name: string, work: string): string {
  const place = join(work, `copy-${readdirSync(work).length}`)
  cpSync(join(import.meta.dirname, name), place, { recursive: true })
  const log = join(place, 'log')
  for (const file of readdirSync(log).filter((one) => one.endsWith('.segment'))) {
    // Kept without the zeros behind the last record; the segment says how long it is.
    const sizeBytes = readFileSync(join(log, file)).readUIntLE(32, 6)
    truncateSync(join(log, file), sizeBytes)
  }
  return place
}
