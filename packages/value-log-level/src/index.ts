export { levelExists, logExists, makeDirectories, nodeFiles } from './node-files.ts'
export { nodeRuntime } from './node-runtime.ts'
export { VALUE_LOG_DEFAULTS, type ValueLogOptions } from './options.ts'
export type { DataFile, DurableFile, Files, InnerLevel, ValueLogRuntime } from './ports.ts'
export type {
  BatchChain,
  BytesBatchOptions,
  BytesOperation,
  GetRangeOptions,
  LogWriteOptions,
  SummedValue,
  ValueLogUsage,
} from './requests.ts'
export type { ValueLogParts } from './value-log.ts'
export { ValueLogLevel, type ValueLogLevelOptions } from './value-log-level.ts'
