export {
  copyRecord,
  decodeHead,
  decodeRecord,
  type EncodedRecord,
  encodeHead,
  encodeRecord,
  exceedsRoom,
} from './codec.ts'
export { contextOf, decodeContext, encodeContext } from './context.ts'
export { clockDigest, headDigest } from './digest.ts'
export { givenTwice, isRenamedIn, renameSiblings, writesDigest } from './given-twice.ts'
export { checkIndexEntries, INDEX_LIMITS } from './index-limits.ts'
export { type VisibleIndexEntry, visibleIndexEntries } from './indexes.ts'
export { isUndecided, mergeBrought, mergeRecords, recordsEqual } from './merge.ts'
export type { MergeFunction, MergePolicy } from './policy.ts'
export {
  type ActorId,
  type CausalContext,
  type Content,
  type Dot,
  EMPTY_RECORD,
  type IndexEntry,
  isWhole,
  type RecordHead,
  type RecordOf,
  type Sibling,
  type SiblingHead,
  type StoredRecord,
  type VersionVector,
} from './record.ts'
export { hasValue, type Resolved, type ResolvedValue, type ResolveMeans, resolve } from './resolve.ts'
export {
  clocksEqual,
  compareDots,
  compareVectors,
  covers,
  descends,
  mergeVectors,
  type VectorOrder,
} from './version-vector.ts'
export { type ClientWrite, keepsValues, MAX_SIBLINGS, type RecordUpdate, writeRecord } from './write.ts'
export { writeOnceRecord } from './write-once.ts'
