export {
  type Change,
  type ClusterDocument,
  describeChange,
  type Plan,
  planText,
} from '@atoll/membership'
export { AtollNode, type AtollNodeEvents } from './atoll-node.ts'
export type { Census, Holdings } from './census.ts'
export { Cluster, createCluster } from './cluster.ts'
export type { ClusterControl, ClusterStatus, MemberReport, Owed } from './cluster-control.ts'
export { createNode } from './create-node.ts'
export type { Departure } from './departure.ts'
export type { NodeSpace } from './node-space.ts'
export {
  CLUSTER_OPTIONS,
  type ClusterOptions,
  type CommonOptions,
  NODE_OPTIONS,
  type NodeOptions,
} from './options.ts'
export { type SystemRuntime, type SystemRuntimeOptions, systemRuntime } from './system-runtime.ts'
