import { commit, firstDocument, planOf, stage } from '@atoll/membership'
import { expect, test } from 'vitest'
import { Heirs } from '../src/heirs.ts'

const members = ['n1', 'n2', 'n3', 'n4', 'n5'].map((node) => ({ node, id: '0'.repeat(16), address: node }))
const document = firstDocument({ clusterId: 'test', partitions: 8, members })
const withList = (epoch: number, list: readonly string[]) => ({
  ...document,
  epoch,
  replicas: document.replicas.map((holders, partition) => (partition === 0 ? list : holders)),
})

test('an heir stands where the node stood, also after it has handed over in its turn', () => {
  const heirs = new Heirs('n1')
  heirs.follow(withList(1, ['n3', 'n1', 'n2']))
  expect(heirs.ownership.ownerOf(0)).toBe('n1')
  heirs.follow(withList(2, ['n3', 'n4', 'n2']))
  expect(heirs.ownership.ownerOf(0)).toBe('n4')
  expect(heirs.ownership.epoch).toBe(2)
  heirs.follow(withList(3, ['n3', 'n5', 'n2']))
  expect(heirs.ownership.ownerOf(0)).toBe('n5')
  heirs.follow(withList(4, ['n3', 'n1', 'n2']))
  expect(heirs.ownership.ownerOf(0)).toBe('n1')
})

test('of a place that is gone, or that changed while the node was away, nobody is the heir', () => {
  const heirs = new Heirs('n1')
  heirs.follow(withList(7, ['n3', 'n4', 'n2']))
  expect(heirs.ownership.ownerOf(0)).toBeUndefined()
  heirs.follow(withList(8, ['n3', 'n4', 'n1']))
  heirs.follow(withList(9, ['n3', 'n4']))
  expect(heirs.ownership.ownerOf(0)).toBeUndefined()
})

test('where others have left the list too, a place does not tell who came to it', () => {
  const heirs = new Heirs('n1')
  heirs.follow(withList(1, ['n3', 'n1', 'n2']))
  heirs.follow(withList(5, ['n4', 'n2']))
  expect(heirs.ownership.ownerOf(0)).toBeUndefined()
})

test('an heir of a partition is the heir of all that it becomes', () => {
  const heirs = new Heirs('n1')
  heirs.follow(withList(1, ['n3', 'n1', 'n2']))
  heirs.follow(withList(2, ['n3', 'n4', 'n2']))
  const staged = stage(withList(2, ['n3', 'n4', 'n2']), { kind: 'resize', partitions: 16 })
  const resized = commit(staged, planOf(staged))
  heirs.follow(resized)
  expect(heirs.ownership.ring).toEqual({ partitions: 16, since: resized.epoch })
  for (const part of [15, 0]) expect(heirs.ownership.ownerOf(part)).toBe('n4')
  for (const [partition, holders] of resized.replicas.entries()) {
    if (holders.includes('n1')) expect(heirs.ownership.ownerOf(partition)).toBe('n1')
  }
})

test('a node that catches up is known as such from the epoch on by which that was learned', () => {
  const heirs = new Heirs('n1')
  const behind = (epoch: number, nodes: readonly string[]) => ({
    ...withList(epoch, ['n3', 'n1', 'n2']),
    refills: nodes.map((node) => ({ node, id: node, waiting: ['n5'] })),
  })
  const told = () => ['n1', 'n2', 'n4'].map((node) => heirs.ownership.readsFromOf?.(node))
  heirs.follow(behind(3, []))
  expect(told()).toEqual([0, 0, 0])
  heirs.follow(behind(4, ['n4']))
  heirs.follow(behind(6, ['n2', 'n4']))
  expect(told()).toEqual([0, 6, 4])
  heirs.follow(behind(7, ['n2']))
  expect(told()).toEqual([0, 6, 0])
})
