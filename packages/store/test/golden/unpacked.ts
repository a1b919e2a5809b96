import { cpSync, readdirSync, readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'

/** A copy of a directory, of a node or of a cluster, that a build before has left, in a new directory within `work`. */
export function unpacked(name: string, work: string): string {
  const place = join(work, `copy-${readdirSync(work).length}`)
  cpSync(join(import.meta.dirname, name), place, { recursive: true })
  const files = readdirSync(place, { recursive: true, encoding: 'utf8' })
  for (const file of files.filter((one) => one.endsWith('.segment'))) {
    // Kept without the zeros behind the last record; the segment says how long it is.
    const sizeBytes = readFileSync(join(place, file)).readUIntLE(32, 6)
    truncateSync(join(place, file), sizeBytes)
  }
  return place
}
