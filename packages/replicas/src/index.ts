export { ownerOfFiled } from './numbering.ts'
export {
  type VnodeCallOptions,
  VnodeReplicas,
  type VnodeReplicasParts,
  type VnodeTarget,
} from './replicas.ts'
export type { Ownership } from './route.ts'
export { type ServeOptions, serveVnodes } from './serve.ts'
