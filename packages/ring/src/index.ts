export type * from './ring.ts'
