import type { KeyId } from '@atoll/core'
import { BINARY, reading } from './database.ts'
import type { VnodeLayout } from './layout.ts'
import type { Database, Operation } from './ports.ts'

const CHUNK = 1000

/**
 * Deletes of all index entries of a record that can no longer say which it had. Reads the vnode's whole index: it is
 * for the rare record of which the head has rotted, whose entries would otherwise be listed for ever.
 */
export function orphanDeletes(
  database: Database,
  layout: VnodeLayout,
  id: KeyId,
): Promise<readonly Operation[]> {
  return reading(async () => {
    const deletes: Operation[] = []
    const iterator = database.keys({ ...BINARY, ...layout.indexRange })
    try {
      for (;;) {
        const keys = await iterator.nextv(CHUNK)
        if (keys.length === 0) return deletes
        for (const key of keys) {
          if (layout.indexKeyIsOf(key, id)) deletes.push({ type: 'del', key })
        }
      }
    } finally {
      await iterator.close()
    }
  })
}
