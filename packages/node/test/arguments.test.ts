import { checkText, isArgumentError } from '@atoll/core'
import { MemoryNetwork } from '@atoll/transport'
import { MemoryLevel } from 'memory-level'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { type AtollNode, createCluster, createNode } from '../src/index.ts'

let node: AtollNode

const VIEW = { keyEncoding: 'view', valueEncoding: 'view', storeEncoding: 'view' } as const
const inMemory = () => new MemoryLevel<Uint8Array, Uint8Array>(VIEW)

beforeAll(async () => {
  node = await createNode({ storage: inMemory() })
  await node.objects.createBucket('bucket')
})

afterAll(() => node.close())

/** Calls with a wrong argument, as JavaScript makes them, by the argument that the error must name. */
async function refusal(call: () => unknown): Promise<unknown> {
  try {
    const answer: unknown = await call()
    const iterator: unknown = Reflect.get(Object(answer), Symbol.asyncIterator)
    if (typeof iterator === 'function') await Reflect.apply(iterator, answer, []).next()
  } catch (error) {
    return isArgumentError(error) ? error.details.argument : error
  }
  return 'nothing was refused'
}

/** A method of a part of the node with arguments that its types do not allow. */
function call(part: object, method: string, args: readonly unknown[]): () => unknown {
  const found: unknown = Reflect.get(part, method)
  if (typeof found !== 'function') throw new TypeError(`there is no method ${method}`)
  return () => Reflect.apply(found, part, args)
}

const NO_TEXTS = [undefined, null, 5, {}, [], new Uint8Array(3)]
const NO_OPTIONS = [null, 5, 'text', [], new Map(), new Date(), Promise.resolve({})]
const NO_SIGNALS = [{ signal: null }, { signal: 5 }, { signal: {} }, { signal: { aborted: false } }]

describe('objects', () => {
  const GOOD: Readonly<Record<string, readonly unknown[]>> = {
    createBucket: ['bucket'],
    deleteBucket: ['bucket'],
    headBucket: ['bucket'],
    put: ['bucket', 'key', 'body'],
    get: ['bucket', 'key'],
    head: ['bucket', 'key'],
    delete: ['bucket', 'key'],
    list: ['bucket'],
    listAll: ['bucket'],
    recordsOf: ['bucket', 'key'],
    listBuckets: [],
    collect: [],
  }
  const methods = Object.entries(GOOD)

  it.each(methods.filter(([, args]) => args.length >= 1))('%s checks its bucket', async (method, good) => {
    for (const bad of [...NO_TEXTS, '', 'ab', 'A b', '1.2.3.4'])
      expect(await refusal(call(node.objects, method, [bad, ...good.slice(1)]))).toBe('bucket')
  })

  it.each(methods.filter(([, args]) => args.length >= 2))(
    '%s checks its key',
    async (method, [bucket, , ...rest]) => {
      for (const bad of [...NO_TEXTS, '', 'x'.repeat(2000), '\ud800'])
        expect(await refusal(call(node.objects, method, [bucket, bad, ...rest]))).toBe('key')
    },
  )

  it.each(methods)('%s checks its options and its signal', async (method, good) => {
    for (const bad of NO_OPTIONS)
      expect(await refusal(call(node.objects, method, [...good, bad]))).toBe(`options of ${method}`)
    expect(await refusal(call(node.objects, method, [...good, { nope: 1 }]))).toBe('nope')
    for (const bad of NO_SIGNALS)
      expect(await refusal(call(node.objects, method, [...good, bad]))).toBe('signal')
  })

  it.each([
    ['put', 'contentType', [5, '', 'a\r\nb']],
    ['put', 'contentMd5', [5, 'xyz']],
    ['put', 'length', ['5', -1, 1.5]],
    ['put', 'metadata', [5, 'x', new Date()]],
    ['put', 'onProgress', [5, {}]],
    ['get', 'range', [5, null, [1, 2]]],
    ['get', 'repair', ['yes', 1]],
    ['get', 'onProgress', ['x']],
    ['list', 'prefix', [5, null, '\ud800']],
    ['list', 'delimiter', [5, '']],
    ['list', 'after', [5, {}]],
    ['list', 'limit', ['5', 0, 1001]],
    ['collect', 'now', ['x', -1]],
    ['collect', 'leewayMs', ['x', -1]],
    ['collect', 'onProgress', [1]],
  ])('%s checks its option %s', async (method, option, values) => {
    for (const value of values)
      expect(await refusal(call(node.objects, method, [...(GOOD[method] ?? []), { [option]: value }]))).toBe(
        option,
      )
  })
})

describe('the control of the cluster', () => {
  it.each([
    ['stage', [null], 'change'],
    ['stage', ['leave'], 'change'],
    ['stage', [[]], 'change'],
    ['stage', [{}], 'change.kind'],
    ['stage', [{ kind: 'Leave' }], 'change.kind'],
    ['stage', [{ kind: 'toString' }], 'change.kind'],
    ['stage', [{ kind: 'leave' }], 'change.node'],
    ['stage', [{ kind: 'leave', node: '' }], 'change.node'],
    ['stage', [{ kind: 'leave', nodes: 'n1' }], 'nodes'],
    ['stage', [{ kind: 'replace', node: 'n1' }], 'change.by'],
    ['stage', [{ kind: 'zone', node: 'n1', zone: 5 }], 'zone'],
    ['stage', [{ kind: 'resize', partitions: 100 }], 'partitions'],
    ['stage', [{ kind: 'leave', node: 'n1' }, null], 'options of stage'],
    ['stage', [{ kind: 'leave', node: 'n1' }, { timeoutMs: '5' }], 'timeoutMs'],
    ['unstage', [5], 'node'],
    ['clear', [5], 'options of clear'],
    ['plan', [5], 'options of plan'],
    ['commit', [undefined], 'plan'],
    ['commit', [{ changes: [] }], 'plan'],
    ['down', [undefined], 'node'],
    ['up', [{}], 'node'],
    ['setBucketType', [5, {}], 'type'],
    ['setBucketType', ['default', null], 'changes'],
    ['setBucketType', ['default', { n: 'many' }], 'n'],
    ['force', [() => {}, { missing: ['n2'], reason: 'fire' }], 'change'],
    ['force', [[{ kind: 'force' }], { missing: ['n2'], reason: 'fire' }], 'changes[0].kind'],
    ['force', [[], undefined], 'options of force'],
    ['force', [[], { missing: 'n2', reason: 'fire' }], 'missing'],
    ['force', [[], { missing: ['n2'], reason: '' }], 'reason'],
    ['census', [undefined], 'ids'],
    ['census', [['key']], 'ids[0].type'],
    ['census', [[], { signal: 5 }], 'signal'],
    ['transfers', [{ signal: 5 }], 'signal'],
    ['settled', ['soon'], 'options of settled'],
  ])('%s(%j) names %s', async (method, args, argument) => {
    expect(await refusal(call(node.cluster, method, args))).toBe(argument)
  })
})

describe('opening', () => {
  const rest = { storage: inMemory() }

  it.each([
    [undefined, 'options of createNode'],
    [null, 'options of createNode'],
    ['./data', 'options of createNode'],
    [{}, 'storage'],
    [{ ...rest, name: 5 }, 'name'],
    [{ ...rest, name: '..' }, 'name'],
    [{ ...rest, partitions: 100 }, 'partitions'],
    [{ ...rest, n: 0 }, 'n'],
    [{ ...rest, zone: 5 }, 'zone'],
    [{ ...rest, transport: 'tcp' }, 'transport'],
    [{ ...rest, transport: {} }, 'transport.create'],
    [{ ...rest, runtime: 'fast' }, 'runtime'],
    [{ ...rest, log: 5 }, 'log'],
    [{ ...rest, log: null }, 'log'],
    [{ ...rest, log: console.log }, 'log.debug'],
    [{ ...rest, metrics: 'statsd' }, 'metrics'],
    [{ ...rest, metrics: {} }, 'metrics.count'],
    [{ ...rest, objects: 5 }, 'objects'],
    [{ ...rest, bucketTypes: { fast: 5 } }, 'bucketTypes.fast'],
    [{ ...rest, merges: { mine: 5 } }, 'merges.mine'],
    [{ ...rest, membersOnly: 'yes' }, 'membersOnly'],
    [{ ...rest, restored: 'no' }, 'restored'],
    [Promise.resolve(rest), 'options of createNode'],
    [{ ...rest, runtime: {} }, 'runtime.clock'],
    [{ ...rest, runtime: () => {} }, 'runtime'],
    [{ ...rest, runtime: { ...node?.runtime, clock: {} } }, 'runtime.clock.monotonicMs'],
    [{ ...rest, transport: { create: () => {} } }, 'transport.clusterName'],
    [{ ...rest, bucketTypes: new Map() }, 'bucketTypes'],
    [{ ...rest, bucketTypes: { fast: { n: 99 } } }, 'n'],
    [{ ...rest, coordinator: { timeoutMs: '5' } }, 'timeoutMs'],
    [{ ...rest, gossip: { stallMs: 0 } }, 'stallMs'],
    [{ ...rest, handoff: { pageBytes: 1 } }, 'pageBytes'],
    [{ ...rest, vnodes: { queueBytes: 0 } }, 'queueBytes'],
    [{ ...rest, objects: { blockBytes: 1 } }, 'blockBytes'],
  ])('createNode names what is wrong: case %#', async (options, argument) => {
    expect(await refusal(() => Reflect.apply(createNode, undefined, [options]))).toBe(argument)
  })

  it.each([
    [undefined, 'options of createCluster'],
    [{ storage: inMemory }, 'nodes'],
    [{ storage: inMemory, nodes: 'three' }, 'nodes'],
    [{ storage: inMemory, nodes: 0 }, 'nodes'],
    [{ storage: inMemory(), nodes: 3 }, 'storage'],
    [{ storage: inMemory, nodes: ['a', 'a'] }, 'nodes'],
    [{ storage: inMemory, nodes: 1, zones: { n9: 'east' } }, 'zones'],
    [{ storage: inMemory, nodes: 1, zones: { n1: 5 } }, 'zone'],
    [{ storage: inMemory, nodes: 1, zones: new Map([['n1', 'east']]) }, 'zones'],
    [{ storage: inMemory, nodes: 1, runtime: {} }, 'runtime'],
    [{ storage: inMemory, nodes: 1, runtime: () => ({}) }, 'runtime.clock'],
    [{ storage: inMemory, nodes: 1, network: {} }, 'network.transport'],
    [{ storage: inMemory, nodes: 1, onCrash: 5 }, 'onCrash'],
    [{ storage: inMemory, nodes: 1, replicas: 5 }, 'replicas'],
  ])('createCluster names what is wrong: case %#', async (options, argument) => {
    expect(await refusal(() => Reflect.apply(createCluster, undefined, [options]))).toBe(argument)
  })
})

describe('seeds', () => {
  const transport = {
    clusterName: 'reef',
    listen: 'n1',
    create: () => new MemoryNetwork(node.runtime).transport('n1'),
    checkAddress: (argument: string, address: string) => void checkText(argument, address, /:/, 'host:port'),
  }

  it.each([
    [new Set(['n2:1']), 'seeds'],
    [new Map([['n2', 'n2:1']]), 'seeds'],
    [Promise.resolve(['n2:1']), 'seeds'],
    ['n2:1', 'seeds'],
    [['n2:1', 5], 'seeds.1'],
    [{ n2: 'n2' }, 'seeds.n2'],
    [['n2'], 'seeds.0'],
  ])(
    'that would look like none, or like ones that are silent, are refused: case %#',
    async (seeds, argument) => {
      // Else the node would begin a cluster of its own.
      const options = { storage: inMemory(), transport, begin: true, seeds }
      expect(await refusal(() => Reflect.apply(createNode, undefined, [options]))).toBe(argument)
    },
  )
})

describe('a cluster in this process', () => {
  it.each([
    ['restart', ['n1', null], 'options of restart'],
    ['restart', ['n1', { restored: 'no' }], 'restored'],
    ['restart', ['n1', { restore: true }], 'restore'],
    ['add', ['n2', 5], 'options of add'],
    ['add', ['n2', { zone: 5 }], 'zone'],
    ['partition', [['n1'], undefined], 'groupB'],
    ['partition', ['n1', ['n1']], 'groupA'],
    ['stop', ['n1', null], 'options of close'],
    ['node', [{}], 'name'],
  ])('%s names what is wrong: case %#', async (method, args, argument) => {
    await using cluster = await createCluster({ nodes: 1, storage: inMemory })
    expect(await refusal(call(cluster, method, args))).toBe(argument)
  })
})

describe('records', () => {
  const id = { type: 'default', bucket: new Uint8Array(1), key: new Uint8Array(1) }
  test.each([
    ['get', [null], 'id'],
    ['get', [{ ...id, type: 5 }], 'type'],
    ['get', [{ ...id, bucket: 'text' }], 'bucket'],
    ['get', [{ ...id, key: new Uint8Array(0) }], 'key'],
    ['get', [id, 5], 'options of a read'],
    ['get', [id, { r: 'most' }], 'r'],
    ['get', [id, { signal: 5 }], 'signal'],
    ['put', [id, null], 'write'],
    ['put', [id, { value: 'text' }], 'value'],
    ['put', [id, { value: new Uint8Array(1), indexes: 5 }], 'indexes'],
    ['put', [id, { value: new Uint8Array(1), indexes: [null] }], 'indexes[0]'],
    ['put', [id, { value: new Uint8Array(1) }, { w: 'most' }], 'w'],
    ['delete', [5], 'id'],
    ['delete', [{ ...id, key: 5 }], 'key'],
    ['scan', [null], 'scan'],
    ['scan', [{ type: 'default', index: 'i', scope: 'x' }], 'scope'],
    ['get', [id, { sloppy: 'no' }], 'sloppy'],
    ['get', [id, { notfoundOk: 1 }], 'notfoundOk'],
    ['get', [id, { repair: 'yes' }], 'repair'],
    ['get', [id, { shows: 5 }], 'shows'],
    ['put', [id, { value: new Uint8Array(1) }, { sloppy: 0 }], 'sloppy'],
    // A misspelt context would make a blind write of it.
    ['put', [id, { value: new Uint8Array(1), contxt: new Uint8Array(1) }], 'contxt'],
    ['put', [id, { value: new Uint8Array(1), context: null }], 'context'],
    ['put', [id, { value: new Uint8Array(1), context: new Uint8Array(3) }], 'context'],
    ['put', [id, { value: new Uint8Array(1), ifAlone: 'yes' }], 'ifAlone'],
    ['put', [id, { value: new Uint8Array(1), metadata: new Map([['a', 5]]) }], 'metadata.a'],
    ['put', [id, { value: new Uint8Array(1), metadata: new Map([['a', '\ud800']]) }], 'metadata.a'],
    [
      'put',
      [
        id,
        {
          value: new Uint8Array(1),
          indexes: [{ index: '\ud800', scope: id.bucket, term: id.bucket, payload: id.bucket }],
        },
      ],
      'index',
    ],
    ['delete', [id, { context: new Uint8Array(3) }], 'context'],
    ['scan', [{ type: 'default', index: 'i', scope: id.key, befor: id.key }], 'befor'],
    ['scan', [{ type: 'default', index: 'i', scope: id.key, after: new Uint8Array(3) }], 'after'],
  ])('kv.%s names what is wrong: case %#', async (method, args, argument) => {
    expect(await refusal(call(node.kv, method, args))).toBe(argument)
  })
})
