import {
  type ClusterDocument,
  commit,
  firstDocument,
  handed,
  isReady,
  planOf,
  stage,
} from '@atoll/membership'
import { expect, test } from 'vitest'
import { reported } from '../src/move-reports.ts'

const memberOf = (node: string) => ({ node, id: `${node.slice(1)}`.padStart(16, '0'), address: `${node}:1` })

const committed = (document: ClusterDocument, change: Parameters<typeof stage>[1]) => {
  const staged = stage(document, change)
  return commit(staged, planOf(staged))
}

test('a copy that was chosen by a longer list is not done, and is made anew', () => {
  const three = firstDocument({
    clusterId: 'c',
    members: ['n1', 'n2', 'n3'].map(memberOf),
    partitions: 8,
    n: 3,
  })
  const lost = committed(three, { kind: 'force-remove', node: 'n2' })
  const joined = committed(lost, { kind: 'join', ...memberOf('n4') })
  const move = joined.moves.find((one) => one.kind === 'add' && isReady(joined, one))
  if (move?.kind !== 'add') throw new Error('a node that joins two is added')
  expect(joined.replicas[move.partition]).toHaveLength(2)
  expect(reported(joined, 'n1', [{ ...move, reach: 3 }])).toBe(joined)
  const told = reported(joined, 'n1', [{ ...move, reach: 2 }])
  expect(told).toEqual(handed(joined, 'n1', [move]))
})
