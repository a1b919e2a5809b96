import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isArgumentError, type Log, openCluster, openNode } from '../src/index.ts'

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
