import { expect, test } from 'vitest'
import { describeUnmetVote, type UnmetVote } from '../src/unmet-vote.ts'

const away = (...nodes: string[]) => new Map(nodes.map((node) => [node, `${node} is not up`]))
const FIVE: UnmetVote = {
  voters: ['n1', 'n2', 'n3', 'n4', 'n5'],
  reserves: [],
  node: 'n1',
  forgetful: [],
  silent: new Map(),
}

test('names who did not answer, and why, and what to do about it', () => {
  expect(describeUnmetVote({ ...FIVE, silent: away('n5', 'n4', 'n3') })).toBe(
    'fewer than a majority of the voters n1, n2, n3, n4, n5 answered; n3 did not answer (n3 is not up); ' +
      'n4 did not answer (n4 is not up); n5 did not answer (n5 is not up). Start n3, n4, n5 with the data that they ' +
      'had. If too few can be started, force the change on n1 with missing: n3, n4, n5: one that has lost its data ' +
      'then takes its own place by force-replace',
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
  const text = describeUnmetVote({ ...FIVE, node, forgetful, silent: away(...silent) })
  expect(text).toContain(`${forgetful.join(', ')} cannot vote yet`)
  expect(text).toContain(`force the change on ${on} with missing: ${missing}`)
  if (silent.length > 0)
    expect(text).toContain(`. Start ${silent.join(', ')} with the data that they had. If too few can be`)
})

test.each([
  ['on a voter, whoever proposes', ['n1', 'n3'], 'n2', ['n1', 'n4'], 'Start n1, n4', 'n3 with missing: n1:'],
  [
    'on one that is marked down, if no voter answers',
    ['n1'],
    'n2',
    ['n1'],
    'Start n1',
    'n2 with missing: n1:',
  ],
])('says to force it %s where some are marked down', (_, voters, node, silent, start, on) => {
  const text = describeUnmetVote({ ...FIVE, voters, reserves: ['n2', 'n4'], node, silent: away(...silent) })
  expect(text).toContain(`. ${start} with the data that `)
  expect(text).toContain(`force the change on ${on}`)
})

test('says to force nothing where nobody is there who could', () => {
  const text = describeUnmetVote({ ...FIVE, voters: ['n1'], node: 'n5', silent: away('n1') })
  expect(text).toMatch(/\. Start n1 with the data that it had\.$/)
})
