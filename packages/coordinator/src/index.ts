export type * from './bucket-types.ts'
export type * from './kv.ts'
export type * from './ports.ts'
