import { utf8 } from '@atoll/core'
import { expect, test } from 'vitest'
import { beginAttempt, type Electorate, stepAttempt } from '../src/proposer.ts'

const BALLOT = { counter: 1, proposer: 'p' }

/** Whether a proposer that counts so goes on when these, and nobody else, have promised. */
function isQuorum(names: readonly string[], electorate: Electorate): boolean {
  let attempt = beginAttempt(BALLOT, electorate, () => utf8('x'))
  for (const from of names) {
    const reply = { kind: 'promise' as const, accepted: undefined }
    attempt = stepAttempt(attempt, { kind: 'prepared', from, reply }).state
  }
  return attempt.phase === 'accept'
}

function subsets(names: readonly string[]): readonly (readonly string[])[] {
  const [first, ...rest] = names
  if (first === undefined) return [[]]
  const without = subsets(rest)
  return [...without, ...without.map((some) => [first, ...some])]
}

/** All that each proposer may count as a quorum, of those that answer one that counts so. */
function quorumsOf(electorate: Electorate, asked: readonly string[]) {
  return subsets(asked).filter((names) => isQuorum(names, electorate))
}

test('any two quorums share one that remembers, whichever of the forgetful and of the reserves a proposer counts', () => {
  let pairs = 0
  for (const [voters, others] of [1, 2, 3, 4].flatMap((some) => [0, 1, 2, 3].map((more) => [some, more]))) {
    const acceptors = ['a', 'b', 'c', 'd'].slice(0, voters)
    const reserves = ['p', 'q', 'r'].slice(0, others)
    for (const forgetful of subsets(acceptors).filter(({ length }) => length < acceptors.length)) {
      const remembering = [...acceptors, ...reserves].filter((name) => !forgetful.includes(name))
      const quorums = [
        // Whoever has forgotten answers only who counts it so.
        ...quorumsOf({ acceptors }, remembering),
        ...quorumsOf({ acceptors, reserves }, remembering),
        ...quorumsOf({ acceptors, forgetful }, acceptors),
        ...quorumsOf({ acceptors, forgetful, reserves }, [...acceptors, ...reserves]),
      ]
      for (const one of quorums) {
        for (const other of quorums) {
          const common = one.filter((name) => other.includes(name) && remembering.includes(name))
          expect(common.length, `${one} and ${other}, of which ${forgetful} forgets`).toBeGreaterThan(0)
          pairs += 1
        }
      }
    }
  }
  expect(pairs).toBeGreaterThan(10_000)
})

test('reserves make up for acceptors that are gone, as long as one is left that every majority has to ask', () => {
  const electorate = { acceptors: ['a', 'b'], reserves: ['p', 'q'] }
  expect(isQuorum(['a', 'p'], electorate)).toBe(false)
  expect(isQuorum(['a', 'p', 'q'], electorate)).toBe(true)
  expect(isQuorum(['a', 'b'], electorate)).toBe(true)
  expect(isQuorum(['p', 'q'], { acceptors: ['a'], reserves: ['p', 'q'] })).toBe(false)
  const five = { acceptors: ['a', 'b', 'c'], reserves: ['p', 'q'] }
  expect(isQuorum(['a', 'p', 'q'], five)).toBe(false)
  expect(isQuorum(['a', 'b', 'p'], five)).toBe(true)
})
