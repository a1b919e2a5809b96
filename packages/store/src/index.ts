export { type OpenClusterOptions, type OpenNodeOptions, openCluster, openNode } from './open.ts'
