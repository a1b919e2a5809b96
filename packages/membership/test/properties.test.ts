import { isAtollError } from '@atoll/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type Change,
  type ClusterDocument,
  clearStaged,
  commit,
  decodeDocument,
  encodeDocument,
  exited,
  handed,
  isReady,
  type Member,
  markDown,
  markUp,
  planOf,
  setBucketType,
  stage,
  unstage,
  votersOf,
} from '../src/index.ts'
import { goalOf } from '../src/layout.ts'
import { retarget } from '../src/retarget.ts'
import { clusterOf, commitAll, finishMoves, idOf, newMember, sourceOf } from './kit.ts'

const NODES = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7', 'n8']

/** Numbers that a step is made of: what to do, and on whom. */
type Step = readonly [kind: number, a: number, b: number]

const nodeOf = (number: number) => NODES[number % NODES.length] ?? ''

/** What one step does with a document; whatever the cluster refuses changes nothing. */
function take(document: ClusterDocument, [kind, a, b]: Step, at: number): ClusterDocument {
  const node = nodeOf(a)
  const by = nodeOf(b)
  switch (kind) {
    case 0:
    case 1:
      return stage(document, {
        kind: 'join',
        ...newMember(node, b % 3 === 0 ? 'east' : undefined),
        id: idOf(node, at + 1),
      })
    case 2:
      return stage(document, { kind: 'leave', node })
    case 3:
      return stage(document, { kind: 'replace', node, by })
    case 4:
      return stage(document, { kind: 'force-remove', node })
    case 5:
      return stage(
        document,
        node === by
          ? { kind: 'force-replace', node, by, id: idOf(node, at + 100) }
          : { kind: 'force-replace', node, by },
      )
    case 6:
      return stage(document, { kind: 'zone', node, zone: b % 2 === 0 ? 'east' : 'west' })
    case 7:
      return unstage(document, node)
    case 8:
      return markDown(document, node)
    case 9:
      return markUp(document, node)
    case 10:
      return exited(document, node)
    case 11:
      return setBucketType(document, {
        name: `t${a % 3}`,
        bytes: new Uint8Array([b]),
        n: 1 + (b % 4),
        nBefore: 1 + (a % 4),
      })
    case 12:
    case 13:
      return commit(document, planOf(document), { allowViolations: true })
    default: {
      const ready = document.moves.filter((move) => isReady(document, move))
      const move = ready[(a * 31 + b) % Math.max(1, ready.length)]
      return move === undefined ? document : handed(document, sourceOf(move), [move])
    }
  }
}

/** One expectation for each rule, not for each node or partition: those would take longer than all else. */
function checkInvariants(document: ClusterDocument): void {
  const { members, replicas, moves, ring, refills, width } = document
  const named = [
    ring.owners,
    replicas.flat(),
    moves.flatMap((move) => [move.to, ...('from' in move ? [move.from] : move.waiting)]),
    refills.flatMap(({ waiting }) => waiting),
  ].flat()
  expect(named.filter((node) => !members.has(node))).toEqual([])
  expect(replicas.filter((holders) => holders.length === 0 || hasTwice(holders))).toEqual([])
  expect(moves.filter((move) => move.kind === 'add' && move.waiting.length === 0)).toEqual([])
  const goal = goalOf(document)
  const stayers = [...members.values()].filter(
    ({ state, upState }) => state === 'valid' || (state === 'down' && upState === 'valid'),
  )
  const staying = new Set(stayers.map(({ node }) => node))
  const owning = new Set(ring.owners)
  const length = Math.min(width, owning.size)
  expect(goal.filter((holders) => hasTwice(holders) || holders.length !== length)).toEqual([])
  expect(goal.flat().filter((node) => !staying.has(node))).toEqual([])
  const holding = new Set(replicas.flat())
  const misplaced = [...members.values()].filter(({ node, state }) =>
    state === 'leaving'
      ? owning.has(node)
      : (state === 'joining' || state === 'exiting') && holding.has(node),
  )
  expect(misplaced).toEqual([])
  expect(votersOf(document).length).toBeGreaterThan(0)
}

const hasTwice = (nodes: readonly string[]) => new Set(nodes).size !== nodes.length

const step: fc.Arbitrary<Step> = fc.tuple(fc.integer({ min: 0, max: 22 }), fc.nat(1000), fc.nat(1000))

test('whatever is done in whatever order, all partitions are held by members, and the moves lead to the goal', () => {
  let commits = 0
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 10, maxLength: 60 }),
      fc.integer({ min: 1, max: 4 }),
      (steps, count) => {
        let document = clusterOf(NODES.slice(0, count), { partitions: 8 })
        for (const [at, next] of steps.entries()) {
          const before = document
          try {
            document = take(before, next, at)
          } catch (error) {
            if (!isAtollError(error, 'ATOLL_CHANGE_REFUSED')) throw error
            continue
          }
          if (document !== before) expect(document.epoch).toBe(before.epoch + 1)
          if ((next[0] === 12 || next[0] === 13) && document !== before) commits += 1
          checkInvariants(document)
          checkStep(before, document)
          expect(decodeDocument(encodeDocument(document))).toEqual(document)
        }
        const end = finishMoves(document)
        expect(end.moves).toEqual([])
        expect(end.replicas.map((holders) => new Set(holders))).toEqual(
          goalOf(document).map((holders) => new Set(holders)),
        )
        checkInvariants(end)
      },
    ),
    { numRuns: 100, seed: 7 },
  )
  expect(commits).toBeGreaterThan(60)
})

test('whatever goals follow on each other while something has begun, all moves become done and lead to the last', () => {
  const partitions = 8
  const list = fc.shuffledSubarray(NODES.slice(0, 5), { minLength: 1, maxLength: 3 })
  const table = fc.array(list, { minLength: partitions, maxLength: partitions })
  const goal = fc.tuple(table, fc.array(fc.nat(1000), { maxLength: 6 }))
  fc.assert(
    fc.property(table, fc.array(goal, { minLength: 2, maxLength: 6 }), (replicas, goals) => {
      let document: ClusterDocument = { ...clusterOf(NODES, { partitions }), replicas }
      for (const [wanted, done] of goals) {
        document = { ...document, ...retarget(document, wanted, document.members) }
        for (const number of done) {
          const ready = document.moves.filter((move) => isReady(document, move))
          const move = ready[number % Math.max(1, ready.length)]
          if (move !== undefined) document = handed(document, sourceOf(move), [move])
        }
        for (const at of [0, -1]) {
          const end = finishMoves(document, (ready) => ready.at(at))
          expect(end.moves).toEqual([])
          expect(end.replicas.map((nodes) => new Set(nodes))).toEqual(wanted.map((nodes) => new Set(nodes)))
        }
      }
    }),
    { numRuns: 200, seed: 7 },
  )
})

test('whatever is staged or pending, it does not wait for ever for nodes that are lost', () => {
  let resizes = 0
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 5, maxLength: 40 }),
      fc.boolean(),
      fc.array(fc.nat(7), { minLength: 1, maxLength: 3 }),
      (steps, resizing, numbers) => {
        let document = clusterOf(NODES.slice(0, 4), { partitions: 8 })
        const attempt = (edit: () => ClusterDocument) => {
          try {
            document = edit()
          } catch (error) {
            if (!isAtollError(error, 'ATOLL_CHANGE_REFUSED')) throw error
          }
        }
        for (const [at, next] of steps.entries()) attempt(() => take(document, next, at))
        if (resizing) attempt(() => commitAll(clearStaged(document), [{ kind: 'resize', partitions: 16 }]))
        resizes += document.resizing === undefined ? 0 : 1
        const lost = new Set(numbers.map(nodeOf))
        const stays = ({ node, state, upState }: Member) =>
          !lost.has(node) && (state === 'valid' || upState === 'valid')
        if (![...document.members.values()].some(stays)) return
        document = clearStaged(document)
        const removals = [...lost].filter((node) => document.members.has(node))
        const changes = removals.map((node): Change => ({ kind: 'force-remove', node }))
        if (changes.length > 0) document = commitAll(document, changes)
        checkInvariants(document)
        expect([...document.members.keys()].filter((node) => lost.has(node))).toEqual([])
        expect(document.resizing?.waiting.filter((node) => lost.has(node)) ?? []).toEqual([])
        const end = finishMoves(document)
        expect(end.moves).toEqual([])
        for (const { state } of end.members.values()) expect(state).not.toBe('leaving')
      },
    ),
    { numRuns: 200, seed: 7 },
  )
  expect(resizes).toBeGreaterThan(20)
})

/** Unless nodes are lost, a list changes by one node at a time, and never below what the cluster can have. */
function checkStep(before: ClusterDocument, after: ClusterDocument): void {
  const isLoss = (change: Change) => change.kind === 'force-remove' || change.kind === 'force-replace'
  if (before.staged.some(isLoss) && after.staged.length === 0) return
  const leaps = before.replicas.flatMap((holders, partition) => {
    const now = after.replicas[partition] ?? []
    const gone = holders.filter((node) => !now.includes(node))
    const come = now.filter((node) => !holders.includes(node))
    const isOne = gone.length <= 1 && come.length <= 1
    const inPlace =
      gone.length + come.length < 2 || now.indexOf(come[0] ?? '') === holders.indexOf(gone[0] ?? '')
    return isOne && inPlace ? [] : [{ partition, holders, now }]
  })
  expect(leaps).toEqual([])
}

test('a plan is a function of its document, moves what it says, and little more than it must', () => {
  const sizes = fc.tuple(
    fc.integer({ min: 1, max: 8 }),
    fc.integer({ min: 1, max: 8 }),
    fc.constantFrom(16, 64),
  )
  fc.assert(
    fc.property(sizes, ([from, to, partitions]) => {
      if (from === to) return
      const nodes = (count: number) => Array.from({ length: count }, (_, at) => `n${at + 1}`)
      const changes: Change[] = [
        ...nodes(to)
          .slice(from)
          .map((node): Change => ({ kind: 'join', ...newMember(node) })),
        ...nodes(from)
          .slice(to)
          .map((node): Change => ({ kind: 'leave', node })),
      ]
      const staged = changes.reduce(stage, clusterOf(nodes(from), { partitions }))
      const plan = planOf(staged)
      expect(planOf(decodeDocument(encodeDocument(staged)))).toEqual(plan)
      expect(plan.moved).toBeGreaterThanOrEqual(plan.leastMoves)
      expect(plan.moved).toBeLessThanOrEqual(1.2 * plan.leastMoves)
      const end = finishMoves(commit(staged, plan))
      const gained = end.replicas.flatMap((holders, partition) =>
        holders.filter((node) => staged.replicas[partition]?.includes(node) !== true),
      )
      expect(gained).toHaveLength(plan.moved)
    }),
    { numRuns: 40, seed: 7 },
  )
})
