import { expect, test } from 'vitest'
import { describeUnmetVote } from '../src/unmet-vote.ts'

const voters = ['n1', 'n2', 'n3', 'n4', 'n5']
const away = (...nodes: string[]) => new Map(nodes.map((node) => [node, `${node} is not up`]))

test('names who did not answer, and why', () => {
  expect(describeUnmetVote({ voters, node: 'n1', forgetful: [], silent: away('n5', 'n4', 'n3') })).toBe(
    'fewer than a majority of the voters n1, n2, n3, n4, n5 answered; n3 did not answer (n3 is not up); ' +
      'n4 did not answer (n4 is not up); n5 did not answer (n5 is not up)',
  )
})

test.each([
  [
    'on the node that proposes, if that remembers',
    'n3',
    ['n1'],
    ['n4', 'n5'],
    'n3',
    'n1, n4, n5: n1 as well',
  ],
  ['on one that remembers', 'n1', ['n1'], ['n4', 'n5'], 'n2', 'n1, n4, n5: n1 as well'],
  [
    'on a copy, if nobody remembers',
    'n2',
    ['n1', 'n2', 'n3'],
    ['n4', 'n5'],
    'n2',
    'n1, n3, n4, n5: n1, n3 as well',
  ],
  [
    'with the copies alone, if all are there',
    'n5',
    ['n1', 'n2', 'n3'],
    [],
    'n5',
    'n1, n2, n3: n1, n2, n3 as well',
  ],
])('says to force it %s', (_, node, forgetful, silent, on, missing) => {
  const text = describeUnmetVote({ voters, node, forgetful, silent: away(...silent) })
  expect(text).toContain(`${forgetful.join(', ')} cannot vote yet`)
  expect(text).toContain(`force the change on ${on} with missing: ${missing}`)
  if (silent.length > 0) expect(text).toContain(`. Start ${silent.join(', ')}. If that is not possible,`)
})
