export { ignoreAbort, listenToAbort } from './abort-listeners.ts'
export { Admission, type AdmissionLimits } from './admission.ts'
export {
  type ArgumentError,
  type ArgumentFacts,
  isArgumentError,
  wrongRange,
  wrongType,
} from './argument-error.ts'
export { assert } from './assert.ts'
export {
  compareBytes,
  concatBytes,
  EMPTY_BYTES,
  endOfBytes,
  equalBytes,
  fromHex,
  fromUtf8,
  keyText,
  nameBytes,
  startsWithBytes,
  toHex,
  utf8,
} from './bytes.ts'
export {
  decodeWith,
  encodeTuple,
  encodeWith,
  MAX_LIST_ITEMS,
  type TupleCodec,
  TupleReader,
  unpackWhole,
} from './codec.ts'
export { continuing } from './crc32.ts'
export { combineCrc32, leadingCrc32 } from './crc32-combine.ts'
export {
  AtollError,
  type AtollErrorCode,
  type AtollErrorOptions,
  behindWrite,
  ERROR_CODES,
  type ErrorCode,
  type ErrorFacts,
  isAtollError,
  isAtollErrorCode,
  isDiskFull,
  messageOf,
  storageFailure,
  withDefinite,
} from './errors.ts'
export {
  checkKeyId,
  checkKeyType,
  DEFAULT_TYPE,
  type KeyId,
  type PlacedKey,
  packKeyId,
  packPlacedKey,
  placeOf,
  unpackKeyId,
  unpackPlacedKey,
} from './key-id.ts'
export { LazySignal } from './lazy-signal.ts'
export { borrowBuffer, borrowedCopy, keepBuffer, poisonReturned, returnBuffer } from './lent-buffers.ts'
export { closeInOrder, Lifecycle, type LifecycleState } from './lifecycle.ts'
export { LineLimit } from './line-limit.ts'
export { LoopTurns } from './loop-turns.ts'
export { METRICS, type MetricEntry } from './metrics-catalogue.ts'
export {
  createMetrics,
  isMetricsRegistry,
  type MetricSeries,
  type MetricsReader,
  type MetricsRegistry,
  type MetricsRegistryOptions,
} from './metrics-registry.ts'
export type { TupleValue } from './msgpack.ts'
export { PIECE_BYTES, type PieceSums, piecesOf, sumForGood } from './piece-sums.ts'
export { quietLog, quietProbe } from './quiet.ts'
export { codeOf, isBytes, isError, isPromise } from './realms.ts'
export { Reopener, type ReopenerParts } from './reopener.ts'
export { RetryLoop, type RetryLoopOptions } from './retry-loop.ts'
export {
  type Clock,
  type DigestStream,
  type Digests,
  type Labels,
  type Log,
  type Metrics,
  PORT_METHODS,
  type Probe,
  type Random,
  type Runtime,
  type StreamAlgorithm,
  type Timer,
} from './runtime.ts'
export { attempt, type Observers, shielded } from './shield.ts'
export { sleepOn } from './sleep.ts'
export { checkStorage, type StorageFeatures } from './storage-features.ts'
export type { CompactionProgress, CompactOptions, DirectoryUsage, StorageUsage } from './storage-space.ts'
export { groupOf, type TermGroups } from './term-groups.ts'
export { GiB, HOUR_MS, KiB, MAX_DELAY_MS, MINUTE_MS, MiB, SECOND_MS } from './units.ts'
export {
  checkBoolean,
  checkBytes,
  checkDelay,
  checkFunction,
  checkInteger,
  checkKnown,
  checkMethods,
  checkName,
  checkObject,
  checkSignal,
  checkText,
  checkWellFormed,
  describe,
  type IntegerLimits,
  isName,
  wellFormed,
} from './validate.ts'
export { LATEST_WALL_MS, wallTimeOf } from './wall-time.ts'
export { type FencedDatabase, rootOf, type WriteFence, writeFenceOf } from './write-fence.ts'
