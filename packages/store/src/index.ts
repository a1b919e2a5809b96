export { type TcpFactory, tcp } from '@atoll/transport-tcp'
export { type OpenClusterOptions, type OpenNodeOptions, openCluster, openNode } from './open.ts'
