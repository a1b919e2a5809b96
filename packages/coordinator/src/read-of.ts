import { contextOf, encodeContext, type StoredRecord } from '@atoll/causality'
import type { KvRead, KvValue } from './kv.ts'

/** What a read of a record answers. The context is packed for those who ask: most reads are not made for a write's sake. */
export function readOf(record: StoredRecord, values: readonly KvValue[]): KvRead {
  return {
    values,
    get context() {
      return encodeContext(contextOf(record))
    },
  }
}
