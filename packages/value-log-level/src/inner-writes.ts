import { writeFenceOf } from '@atoll/core'
import type { InnerBatch, InnerLevel } from './ports.ts'

/**
 * Writes a batch to the inner database, unless a write of it has failed since it was opened: what LevelDB acknowledges
 * behind that is gone at the next open. Every write of the inner database goes this way, checkpoints too: the log would
 * note one that the index then lacks, and would take the index for an older copy.
 */
export function writeInner(
  inner: InnerLevel,
  batch: InnerBatch,
  options: { readonly sync: boolean },
): Promise<void> {
  const fence = writeFenceOf(inner)
  return fence === undefined ? batch.write(options) : fence.run(() => batch.write(options))
}

/** Whether the inner database takes no writes until it is closed and opened again. */
export function isFenced(inner: InnerLevel): boolean {
  return writeFenceOf(inner)?.failure !== undefined
}
