export type { Harness } from './harness.ts'
export { type Database, type StorageSubject, storageSuite } from './storage.ts'
export { type TransportNetwork, type TransportSubject, transportSuite } from './transport.ts'
