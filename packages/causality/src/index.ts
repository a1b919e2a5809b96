export type * from './policy.ts'
export type * from './record.ts'
