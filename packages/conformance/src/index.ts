export type { Harness } from './harness.ts'
export { type StorageSubject, storageSuite, type TestedDatabase } from './storage.ts'
export { type TransportNetwork, type TransportSubject, transportSuite } from './transport.ts'
