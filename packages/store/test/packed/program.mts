import { MemoryNetwork, openCluster, openNode, planText, systemRuntime, tcp } from '@atoll/store'

// What is exported here without a type of its own must be nameable in a declaration (TS2742, TS4023).
export const node = await openNode()
export const { objects, kv, cluster, vnodes, bucketTypes, metrics, runtime, ring, placement, events, left } =
  node
export const status = cluster.status()
export const document = cluster.document
export const stage = () => cluster.stage({ kind: 'leave', node: 'n1' })
export const plan = () => cluster.plan()
export const text = async () => planText(cluster.document, await cluster.plan())
export const census = () => cluster.census([])
export const transfers = () => cluster.transfers()
export const bucket = () => objects.createBucket('letters')
export const put = () => objects.put('letters', 'key', 'body')
export const get = () => objects.get('letters', 'key')
export const head = () => objects.head('letters', 'key')
export const list = () => objects.list('letters')
export const all = () => objects.listAll('letters')
export const buckets = () => objects.listBuckets()
export const collect = () => objects.collect()
export const read = () => kv.get({ type: 'default', bucket: new Uint8Array(1), key: new Uint8Array(1) })
export const scan = () => kv.scan({ type: 'default', index: 'i', scope: new Uint8Array(1) })
export const several = () => openCluster({ nodes: 3 })
export const world = () => systemRuntime()
export const network = (of: ReturnType<typeof world>) => new MemoryNetwork(of, {})
export const transport = () =>
  tcp({ cluster: 'reef', listen: '127.0.0.1:0', secret: 'a secret of some length, sixteen at least' })
export const snapshot = metrics.snapshot()
