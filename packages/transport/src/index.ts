export type * from './method.ts'
export type * from './ports.ts'
