import type { KeyId } from '@atoll/core'
import { UNKNOWN_EXTENT } from './envelope.ts'
import { keyChunks } from './fold.ts'
import type { IndexWhere } from './index-entry.ts'
import { NODE_INDEX } from './index-space.ts'
import type { Database, Operation } from './ports.ts'

/**
 * Deletes of all index entries of a record that can no longer say which it had. Reads the node's whole index of the
 * bucket type: it is for the rare record of which the head has rotted, whose entries would otherwise be listed for ever.
 */
export async function orphanDeletes(
  database: Database,
  { layout, hasOwn }: IndexWhere,
  id: KeyId,
): Promise<readonly Operation[]> {
  const { partition, ownIndex } = layout
  const deletes: Operation[] = []
  const { bytes: replacesBytes } = UNKNOWN_EXTENT
  for (const space of hasOwn ? [NODE_INDEX, ownIndex] : [NODE_INDEX]) {
    for await (const keys of keyChunks(database, space.typeRange(id.type)))
      for (const key of keys)
        if (space.isOf(key, id, partition)) deletes.push({ type: 'del', key, replacesBytes })
  }
  return deletes
}
