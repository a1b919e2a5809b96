import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  AtollError,
  createMetrics,
  describeChange,
  isArgumentError,
  type Log,
  MemoryNetwork,
  openCluster,
  openNode,
  planText,
  systemRuntime,
  tcp,
} from '../src/index.ts'

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atoll-arguments-'))
  await writeFile(join(folder, 'file'), 'no directory')
})

afterAll(() => rm(folder, { recursive: true }))

/** The argument that the error names. */
async function refusal(call: () => unknown): Promise<unknown> {
  try {
    await call()
  } catch (error) {
    return isArgumentError(error) ? error.details.argument : error
  }
  return 'nothing was refused'
}

const calling = (open: (...args: never[]) => unknown, args: readonly unknown[]) => () =>
  Reflect.apply(open, undefined, args)

test.each([
  [['./data'], 'options of openNode'],
  [[null], 'options of openNode'],
  [[{ path: 5 }], 'path'],
  [[{ path: '' }], 'path'],
  [[{ path: 'a\0b' }], 'path'],
  [[{ nodes: 3 }], 'nodes'],
  [[{ name: 'a b' }], 'name'],
  [[{ log: {} }], 'log.debug'],
  [[Promise.resolve({ path: './data' })], 'options of openNode'],
])('openNode%j names %s', async (args, argument) => {
  expect(await refusal(calling(openNode, args))).toBe(argument)
})

test.each([
  [[], 'options of openCluster'],
  [['./data'], 'options of openCluster'],
  [[{ path: 5, nodes: 3 }], 'path'],
  [[{}], 'nodes'],
])('openCluster%j names %s', async (args, argument) => {
  expect(await refusal(calling(openCluster, args))).toBe(argument)
})

test.each([
  ['objects', 'object store'],
  ['coordinator', 'coordinator'],
  ['vnodes', 'vnodes'],
  ['gossip', 'gossip'],
  ['handoff', 'handoff'],
])('an option that %s does not have is refused in words that say where it stands', async (group, name) => {
  const opening = calling(openNode, [{ [group]: { speed: 1 } }])()
  await expect(opening).rejects.toThrow(`${name} options has no option "speed"; it knows `)
})

test('nothing is made for options that are refused', async () => {
  const path = join(folder, 'never')
  const wrong = [
    { name: 'a b' },
    { gossip: { stallMs: 0 } },
    { bucketTypes: { gold: { n: 99 } } },
    { seeds: [] },
  ]
  for (const options of wrong)
    for (const open of [openNode, openCluster])
      expect(await refusal(calling(open, [{ path, ...options }]))).not.toBe('nothing was refused')
  await expect(readdir(path)).rejects.toMatchObject({ code: 'ENOENT' })
})

test.each(['127.0.0.1:0', 'n2.example', 'n2.example:99999'])(
  'a seed that is no address over TCP is refused before a cluster is begun: %s',
  async (seed) => {
    const transport = tcp({ cluster: 'reef', listen: '127.0.0.1:0', secret: 'x'.repeat(16) })
    const seeds = ['127.0.0.1:7400', seed]
    expect(await refusal(() => openNode({ name: 'n1', begin: true, transport, seeds }))).toBe('seeds.1')
  },
)

test.each([
  [createMetrics, [null], 'options of createMetrics'],
  [createMetrics, [{ to: {} }], 'to.count'],
  [systemRuntime, [null], 'options of systemRuntime'],
  [systemRuntime, [{ log: 5 }], 'log'],
  [systemRuntime, [{ logs: console }], 'logs'],
  [planText, [null, null], 'document'],
  [describeChange, [null], 'change'],
  [(runtime: unknown) => Reflect.construct(MemoryNetwork, [runtime]), [{}], 'runtime.clock'],
  [(code: unknown) => Reflect.construct(AtollError, [code, 'text']), ['ATOLL_NONE'], 'code'],
])('%o names what is wrong: case %#', async (called, args, argument) => {
  expect(await refusal(calling(called, args))).toBe(argument)
})

test('a file where the directory should be is named', async () => {
  for (const path of [join(folder, 'file'), join(folder, 'file', 'below')])
    await expect(openNode({ path })).rejects.toThrow(
      `path must be a directory, and a file is there: "${path}"`,
    )
})

test('a node logs when it opens and closes, and counts what can be read', async () => {
  const lines: string[] = []
  const note = (fields: object, message: string) =>
    void lines.push(`${Reflect.get(fields, 'node')}: ${message}`)
  const log: Log = { debug: () => {}, info: note, warn: note, error: note }
  const counted: string[] = []
  const metrics = {
    count: (name: string) => void counted.push(name),
    gauge: () => {},
    observe: () => {},
  }
  const node = await openNode({ log, metrics })
  await node.objects.createBucket('letters')
  await node.objects.put('letters', 'short', 'Dear reader,')
  const { body } = await node.objects.get('letters', 'short')
  expect(node.metrics.value('atoll_objects_get_bytes_total')).toBe(0)
  for await (const _ of body);
  expect(node.metrics.value('atoll_objects_get_bytes_total')).toBe(12)
  expect(node.metrics.text()).toMatch(/^atoll_objects_put_bytes_total 12$/m)
  expect(counted).toContain('atoll_objects_put_bytes_total')
  await node.close()
  expect(lines).toEqual(['n1: the node is open', 'n1: the node is closed'])
})
