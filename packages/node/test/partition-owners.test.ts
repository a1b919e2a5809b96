import { commit, firstDocument, planOf, stage } from '@atoll/membership'
import { expect, test } from 'vitest'
import { PartitionOwners } from '../src/partition-owners.ts'

const members = ['n1', 'n2', 'n3', 'n4', 'n5'].map((node) => ({ node, id: '0'.repeat(16), address: node }))
const document = firstDocument({ clusterId: 'test', partitions: 8, members })
const withList = (epoch: number, list: readonly string[]) => ({
  ...document,
  epoch,
  replicas: document.replicas.map((holders, partition) => (partition === 0 ? list : holders)),
})

test('a new owner stands where the node stood, also after it has handed over in its turn', () => {
  const owners = new PartitionOwners('n1')
  owners.follow(withList(1, ['n3', 'n1', 'n2']))
  expect(owners.ownership.ownerOf(0)).toBe('n1')
  owners.follow(withList(2, ['n3', 'n4', 'n2']))
  expect(owners.ownership.ownerOf(0)).toBe('n4')
  expect(owners.ownership.epoch).toBe(2)
  owners.follow(withList(3, ['n3', 'n5', 'n2']))
  expect(owners.ownership.ownerOf(0)).toBe('n5')
  owners.follow(withList(4, ['n3', 'n1', 'n2']))
  expect(owners.ownership.ownerOf(0)).toBe('n1')
})

test('of a place that is gone, or that changed while the node was away, nobody is the new owner', () => {
  const owners = new PartitionOwners('n1')
  owners.follow(withList(7, ['n3', 'n4', 'n2']))
  expect(owners.ownership.ownerOf(0)).toBeUndefined()
  owners.follow(withList(8, ['n3', 'n4', 'n1']))
  owners.follow(withList(9, ['n3', 'n4']))
  expect(owners.ownership.ownerOf(0)).toBeUndefined()
})

test('where others have left the list too, a place does not tell who came to it', () => {
  const owners = new PartitionOwners('n1')
  owners.follow(withList(1, ['n3', 'n1', 'n2']))
  owners.follow(withList(5, ['n4', 'n2']))
  expect(owners.ownership.ownerOf(0)).toBeUndefined()
})

test('the new owner of a partition is the new owner of all that it becomes', () => {
  const owners = new PartitionOwners('n1')
  owners.follow(withList(1, ['n3', 'n1', 'n2']))
  owners.follow(withList(2, ['n3', 'n4', 'n2']))
  const staged = stage(withList(2, ['n3', 'n4', 'n2']), { kind: 'resize', partitions: 16 })
  const resized = commit(staged, planOf(staged))
  owners.follow(resized)
  expect(owners.ownership.ring).toEqual({ partitions: 16, since: resized.epoch })
  for (const part of [15, 0]) expect(owners.ownership.ownerOf(part)).toBe('n4')
  for (const [partition, holders] of resized.replicas.entries()) {
    if (holders.includes('n1')) expect(owners.ownership.ownerOf(partition)).toBe('n1')
  }
})

test('a node that catches up is known as such from the epoch on by which that was learned', () => {
  const owners = new PartitionOwners('n1')
  const behind = (epoch: number, nodes: readonly string[]) => ({
    ...withList(epoch, ['n3', 'n1', 'n2']),
    refills: nodes.map((node) => ({ node, id: node, waiting: ['n5'] })),
  })
  const told = () => ['n1', 'n2', 'n4'].map((node) => owners.ownership.readsFromOf?.(node))
  owners.follow(behind(3, []))
  expect(told()).toEqual([0, 0, 0])
  owners.follow(behind(4, ['n4']))
  owners.follow(behind(6, ['n2', 'n4']))
  expect(told()).toEqual([0, 6, 4])
  owners.follow(behind(7, ['n2']))
  expect(told()).toEqual([0, 6, 0])
})
