import { partitionOf } from '@atoll/ring'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type ClusterDocument,
  clearStaged,
  commit,
  decodeDocument,
  encodeDocument,
  filesNext,
  markDown,
  markUp,
  planOf,
  planText,
  refiled,
  setBucketType,
  stage,
  unstage,
} from '../src/index.ts'
import { clusterOf, commitAll, finishMoves, idOf, join } from './kit.ts'

const refusal = (text: string) =>
  expect.objectContaining({ code: 'ATOLL_CHANGE_REFUSED', message: expect.stringContaining(text) })
const refusing = (run: () => unknown, text: string) => expect(run).toThrow(refusal(text))
const resize = (partitions: number) => ({ kind: 'resize', partitions }) as const
const NAMES = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7']

const allFiled = (document: ClusterDocument) =>
  [...document.members.keys()].reduce<ClusterDocument>(refiled, document)

describe('a ring that gets more partitions', () => {
  it('leaves every key on the nodes that have it, whatever the sizes and whoever is in the cluster', () => {
    const sizes = fc.constantFrom([8, 16], [8, 64], [16, 32], [16, 1024], [128, 256])
    fc.assert(
      fc.property(
        sizes,
        fc.integer({ min: 1, max: 7 }),
        fc.array(fc.string(), { minLength: 20 }),
        (size, count, keys) => {
          const [from = 8, to = 16] = size
          const before = clusterOf(NAMES.slice(0, count), { partitions: from })
          const after = commitAll(before, [resize(to)])
          for (const text of keys) {
            const key = {
              type: 'default',
              bucket: new Uint8Array([1]),
              key: new TextEncoder().encode(`${text}.`),
            }
            const [old, now] = [partitionOf(key, from), partitionOf(key, to)]
            expect(after.replicas[now]).toEqual(before.replicas[old])
            expect(after.ring.owners[now]).toBe(before.ring.owners[old])
          }
          expect(after).toMatchObject({ moves: [], staged: [], resizedAt: after.epoch })
          expect(after.ring.partitions).toBe(to)
          expect(after.resizing).toEqual({ from, waiting: [...before.members.keys()] })
          expect(decodeDocument(encodeDocument(after))).toEqual(after)
          expect(allFiled(after).resizing).toBeUndefined()
        },
      ),
      { numRuns: 30 },
    )
  })

  it('is planned with nothing to move, and lets a node join thereafter for little more than the least', () => {
    for (const count of [1, 3, 5, 7]) {
      const staged = stage(clusterOf(NAMES.slice(0, count), { partitions: 16 }), resize(64))
      const plan = planOf(staged)
      expect(plan).toMatchObject({ transfers: [], moved: 0, leastMoves: 0, lost: [] })
      expect(plan.owners).toHaveLength(64)
      expect(planText(staged, plan)).toContain('resize the ring to 64 partitions')
      expect(planText(staged, plan)).toContain('files its records anew, by 64 partitions')
      const document = allFiled(commit(staged, plan))
      const joining = stage(document, join('n9'))
      const { moved, leastMoves, violations } = planOf(joining)
      expect(moved).toBeLessThanOrEqual(1.2 * leastMoves)
      if (count > 3) expect(violations).toEqual([])
      expect(finishMoves(commit(joining, planOf(joining))).moves).toEqual([])
    }
  })

  it('is refused for a number that no ring has, for fewer, and beside anything else', () => {
    const document = clusterOf(['n1', 'n2', 'n3'], { partitions: 16 })
    for (const partitions of [0, 12, 4, 2048, 16.5])
      expect(() => stage(document, resize(partitions))).toThrow(RangeError)
    refusing(() => stage(document, resize(16)), 'it has as many')
    refusing(() => stage(document, resize(8)), 'can only get more')
    const leaving = stage(document, { kind: 'leave', node: 'n3' })
    refusing(() => stage(leaving, resize(32)), 'other changes are staged')
    const staged = stage(document, resize(32))
    expect(stage(staged, resize(32))).toBe(staged)
    refusing(() => stage(staged, resize(64)), 'other changes are staged')
    refusing(() => stage(staged, { kind: 'leave', node: 'n3' }), 'call clear() or commit it first')
    refusing(() => unstage(staged, 'n1'), 'nothing is staged for it')
    expect(clearStaged(staged).staged).toEqual([])
    const moving = commitAll(document, [join('n4')])
    refusing(() => stage(moving, resize(32)), 'moves and refills that are pending')
    const type = { name: 'wide', bytes: new Uint8Array(), n: 3, nBefore: 2 }
    const owing = setBucketType(staged, type)
    refusing(() => commit(owing, planOf(owing)), 'moves and refills that are pending')
  })

  it('is over when all have filed their records, before which only losses are dealt with', () => {
    let document = commitAll(clusterOf(['n1', 'n2', 'n3', 'n4'], { partitions: 8 }), [resize(16)])
    refusing(() => stage(document, resize(32)), 'first n1, n2, n3, n4 have to file records by 16 partitions')
    document = refiled(document, 'n1')
    expect(refiled(document, 'n1')).toBe(document)
    const joining = stage(document, join('n5'))
    refusing(() => commit(joining, planOf(joining)), 'first n2, n3, n4 have to file records')
    const itself = commitAll(document, [{ kind: 'force-replace', node: 'n3', by: 'n3', id: idOf('n3', 7) }])
    expect(itself.resizing?.waiting).toEqual(['n2', 'n4'])
    const leaving = stage(document, { kind: 'leave', node: 'n4' })
    const both = stage(leaving, { kind: 'force-replace', node: 'n3', by: 'n3', id: idOf('n3', 7) })
    const plan = planOf(both)
    expect(plan).toMatchObject({
      changes: [{ kind: 'force-replace' }],
      later: [{ kind: 'leave', node: 'n4' }],
    })
    expect(planText(both, plan)).toMatch(/later, when all have filed their records anew: let n4 leave/)
    const mended = commit(both, plan)
    expect(mended).toMatchObject({ staged: plan.later, resizing: { waiting: ['n2', 'n4'] } })
    expect(mended.members.get('n4')?.state).toBe('valid')
    refusing(() => commit(mended, planOf(mended)), 'first n2, n4 have to file records')
    const filed = refiled(refiled(mended, 'n2'), 'n4')
    expect(commit(filed, planOf(filed)).members.get('n4')?.state).toBe('leaving')
    const other = commitAll(document, [join('n5'), { kind: 'force-replace', node: 'n2', by: 'n5' }])
    expect(other.resizing?.waiting).toEqual(['n3', 'n4'])
    document = commitAll(document, [{ kind: 'force-remove', node: 'n2' }])
    expect(document.resizing?.waiting).toEqual(['n3', 'n4'])
    document = refiled(refiled(document, 'n3'), 'n4')
    expect(document.resizing).toBeUndefined()
    expect(document.resizedAt).toBeGreaterThan(0)
  })

  it('does not wait for those that are down, but for those that come back', () => {
    const down = markDown(clusterOf(['n1', 'n2', 'n3'], { partitions: 8 }), 'n2')
    let document = commitAll(down, [resize(32)])
    expect(document.resizing?.waiting).toEqual(['n1', 'n3'])
    expect(markUp(document, 'n2').resizing?.waiting).toEqual(['n1', 'n3', 'n2'])
    document = markDown(document, 'n1')
    expect(document.resizing?.waiting).toEqual(['n3'])
    document = refiled(document, 'n3')
    expect(document.resizing).toBeUndefined()
    expect(markUp(document, 'n1').resizing).toBeUndefined()
  })

  it('lets a node have the turn of one that does not come, once', () => {
    const document = commitAll(clusterOf(['n1', 'n2', 'n3'], { partitions: 8 }), [resize(32)])
    const turned = filesNext(document, 'n3', { instead: 'n1' })
    expect(turned.resizing?.waiting).toEqual(['n3', 'n1', 'n2'])
    expect(filesNext(turned, 'n2', { instead: 'n1' })).toBe(turned)
    expect(filesNext(document, 'n9', { instead: 'n1' })).toBe(document)
  })

  it('is written as a version that others know only if it has more than it began with', () => {
    const document = clusterOf(['n1', 'n2', 'n3'], { partitions: 8 })
    expect(encodeDocument(stage(document, { kind: 'zone', node: 'n1', zone: 'a' }))[0]).toBe(1)
    const done = allFiled(commitAll(document, [resize(16)]))
    expect(encodeDocument(done)[0]).toBe(2)
    expect(decodeDocument(encodeDocument(done))).toEqual(done)
  })
})
