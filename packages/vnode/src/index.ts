export type * from './protocol-types.ts'
