export { nodeFiles } from './node-files.ts'
export { nodeRuntime } from './node-runtime.ts'
export { VALUE_LOG_DEFAULTS, type ValueLogOptions } from './options.ts'
export type { DataFile, Files, InnerLevel, ValueLogRuntime } from './ports.ts'
export type { ValueLogParts } from './value-log.ts'
export {
  type GetRangeOptions,
  type SummedValue,
  ValueLogLevel,
  type ValueLogLevelOptions,
  type ValueLogUsage,
  type WriteOptions,
} from './value-log-level.ts'
