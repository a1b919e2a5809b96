import { describe, expect, it } from 'vitest'
import {
  begun,
  type ClusterDocument,
  catchingUp,
  exited,
  handed,
  isReady,
  markDown,
  markUp,
  planOf,
  refilled,
  setBucketType,
} from '../src/index.ts'
import { withGrowth } from '../src/layout.ts'
import { clusterOf, commitAll, finishMoves, idOf, join } from './kit.ts'

const lifeOf = (generation: string, known: readonly string[] = [], isRestored = false) => ({
  generation: generation.repeat(24),
  known: known.map((one) => one.repeat(24)),
  isRestored,
})

const THREE = clusterOf(['n1', 'n2', 'n3'])

/** n1 has told of a life 'a'. */
const TOLD = begun(THREE, 'n1', lifeOf('a'))

function waitingFor(document: ClusterDocument, node: string): readonly string[] | undefined {
  return catchingUp(document).get(node)
}

describe('a node that opens tells of a new life of its data', () => {
  it('and nothing else happens if it tells for the first time, or follows on the life that is known', () => {
    expect(TOLD).toEqual({
      ...THREE,
      epoch: 2,
      members: new Map(THREE.members).set('n1', { ...THREE.members.get('n1')!, generation: 'a'.repeat(24) }),
    })
    expect(begun(TOLD, 'n1', lifeOf('a'))).toBe(TOLD)
    const next = begun(TOLD, 'n1', lifeOf('b', ['a']))
    expect(next.members.get('n1')?.generation).toBe('b'.repeat(24))
    expect(next.refills).toEqual([])
  })

  it('also after a life of which nobody learned whether it was decided', () => {
    expect(begun(TOLD, 'n1', lifeOf('c', ['a', 'b'])).refills).toEqual([])
    const decided = begun(TOLD, 'n1', lifeOf('b', ['a']))
    expect(begun(decided, 'n1', lifeOf('c', ['a', 'b'])).refills).toEqual([])
  })

  it('nothing if it is no member, and never in another form', () => {
    expect(begun(TOLD, 'n9', lifeOf('b'))).toBe(TOLD)
    expect(() => begun(TOLD, 'n1', { ...lifeOf('b'), generation: 'B' })).toThrow(RangeError)
  })
})

describe('data that does not know the life that the document knows', () => {
  const restored = begun(TOLD, 'n1', lifeOf('c', ['0']))

  it('is an older copy: all others owe it copies, until each has offered them', () => {
    expect(waitingFor(restored, 'n1')).toEqual(['n2', 'n3'])
    const id = restored.refills[0]!.id
    const some = refilled(restored, 'n2', [id])
    expect(waitingFor(some, 'n1')).toEqual(['n3'])
    expect(waitingFor(refilled(some, 'n3', [id]), 'n1')).toBe(undefined)
  })

  it('is one also if an operator says so', () => {
    expect(waitingFor(begun(TOLD, 'n1', lifeOf('c', ['a'], true)), 'n1')).toEqual(['n2', 'n3'])
    expect(waitingFor(begun(THREE, 'n1', lifeOf('c', [], true)), 'n1')).toEqual(['n2', 'n3'])
  })

  it('stays one through further lives, and begins to wait anew when another older copy takes its place', () => {
    const some = refilled(restored, 'n2', [restored.refills[0]!.id])
    expect(waitingFor(begun(some, 'n1', lifeOf('d', ['c'])), 'n1')).toEqual(['n3'])
    const again = begun(some, 'n1', lifeOf('d', ['0']))
    expect(waitingFor(again, 'n1')).toEqual(['n2', 'n3'])
    expect(refilled(again, 'n3', [restored.refills[0]!.id])).toBe(again)
  })

  it('of several nodes: they wait for each other', () => {
    const told = begun(begun(TOLD, 'n2', lifeOf('a')), 'n3', lifeOf('a'))
    const all = ['n1', 'n2', 'n3'].reduce((known, node) => begun(known, node, lifeOf('c', ['0'])), told)
    expect([...catchingUp(all)]).toEqual([
      ['n1', ['n2', 'n3']],
      ['n2', ['n1', 'n3']],
      ['n3', ['n1', 'n2']],
    ])
  })

  it('does not wait for members that are gone, and is not waited for when it is', () => {
    expect(waitingFor(commitAll(restored, [{ kind: 'force-remove', node: 'n2' }]), 'n1')).toEqual(['n3'])
    expect(commitAll(restored, [{ kind: 'force-remove', node: 'n1' }]).refills).toEqual([])
    const renewed = { kind: 'force-replace', node: 'n1', by: 'n1', id: idOf('n1', 9) } as const
    const anew = commitAll(restored, [renewed])
    expect(anew.refills).toEqual([])
    expect(anew.members.get('n1')?.generation).toBe(undefined)
  })

  it('does not wait for one that is down, but again when that is back; never for itself', () => {
    const down = markDown(restored, 'n2')
    expect(waitingFor(down, 'n1')).toEqual(['n3'])
    expect(waitingFor(markUp(down, 'n2'), 'n1')).toEqual(['n3', 'n2'])
    const own = markDown(restored, 'n1')
    expect(waitingFor(own, 'n1')).toEqual(['n2', 'n3'])
    expect(waitingFor(markUp(own, 'n1'), 'n1')).toEqual(['n2', 'n3'])
  })

  it('waits for the heirs of one that leaves before it has offered its copies, though they have offered theirs', () => {
    const five = ['n1', 'n2', 'n3', 'n4', 'n5']
    const older = begun(begun(clusterOf(five), 'n1', lifeOf('a')), 'n1', lifeOf('c', ['0']))
    const [{ id } = { id: '' }] = older.refills
    const others = ['n3', 'n4', 'n5'].reduce((known, node) => refilled(known, node, [id]), older)
    expect(waitingFor(others, 'n1')).toEqual(['n2'])
    const leaving = commitAll(others, [{ kind: 'leave', node: 'n2' }])
    const heirs = new Set(leaving.moves.map(({ to }) => to).filter((to) => to !== 'n1'))
    expect(heirs.size).toBeGreaterThan(0)
    const left = finishMoves(leaving)
    // What n1 shall have of n2 has to wait as well.
    expect(left.members.get('n2')?.state).toBe('leaving')
    expect(new Set(left.moves.map(({ to }) => to))).toEqual(new Set(['n1']))
    expect(new Set(waitingFor(left, 'n1'))).toEqual(new Set(['n2', ...heirs]))
    const caughtUp = ['n2', ...heirs].reduce((known, node) => refilled(known, node, [id]), left)
    expect(waitingFor(caughtUp, 'n1')).toBe(undefined)
    const gone = finishMoves(caughtUp)
    expect(gone.members.get('n2')?.state).toBe('exiting')
  })

  it('is handed to nobody as a replica before it has caught up', () => {
    const replaced = commitAll(restored, [join('n4'), { kind: 'replace', node: 'n1', by: 'n4' }])
    const [move] = replaced.moves
    if (move === undefined) throw new Error('n4 takes the place of n1')
    expect(isReady(replaced, move)).toBe(false)
    expect(() => handed(replaced, 'n1', [move])).toThrow(
      /the data of n1 is an older copy, and has to catch up first/,
    )
    const [{ id } = { id: '' }] = restored.refills
    const caughtUp = ['n2', 'n3'].reduce((known, node) => refilled(known, node, [id]), replaced)
    expect(finishMoves(caughtUp).replicas.flat()).not.toContain('n1')
  })

  it('gets copied anew what others had copied to it, since it was to hold more', () => {
    const growing = commitAll(begun(clusterOf(['n1', 'n2']), 'n2', lifeOf('a')), [join('n3')])
    const told = begun(growing, 'n3', lifeOf('a'))
    const half = handed(told, 'n1', [{ partition: 0, kind: 'add', to: 'n3' }])
    expect(half.moves[0]).toMatchObject({ waiting: ['n2'] })
    expect(begun(half, 'n3', lifeOf('b', ['a'])).moves[0]).toMatchObject({ waiting: ['n2'] })
    expect(begun(half, 'n3', lifeOf('b', ['0'])).moves[0]).toMatchObject({ waiting: ['n1', 'n2'] })
  })

  it('does not wait if it is alone, or holds nothing', () => {
    const alone = begun(clusterOf(['n1']), 'n1', lifeOf('a'))
    expect(begun(alone, 'n1', lifeOf('b', [])).refills).toEqual([])
    const joining = commitAll(THREE, [join('n4')])
    const left = finishMoves(commitAll(finishMoves(joining), [{ kind: 'leave', node: 'n4' }]))
    const told = begun(left, 'n4', lifeOf('a'))
    expect(begun(told, 'n4', lifeOf('b', [])).refills).toEqual([])
    expect(exited(told, 'n4').members.has('n4')).toBe(false)
  })

  it('makes no plan stale', () => {
    const staged = commitAll(THREE, [join('n4')])
    expect(planOf(begun(staged, 'n2', lifeOf('a'))).basis).toBe(planOf(staged).basis)
  })
})

describe('a raised n goes up by one at a time', () => {
  const bytes = (n: number) => new Uint8Array([n])
  const wide = clusterOf(['n1', 'n2', 'n3', 'n4', 'n5'], { n: 5 })
  const one = setBucketType(wide, { name: 't', bytes: bytes(1), n: 1 })
  const raised = setBucketType(one, { name: 't', bytes: bytes(3), n: 3, nBefore: 1 })
  const done = (document: ClusterDocument) =>
    [...wide.members.keys()].reduce(
      (known, node) => refilled(known, node, [document.refills[0]!.id]),
      document,
    )

  it('with a refill for each step, from all', () => {
    expect(raised.refills).toMatchObject([{ type: 't', from: 1, to: 3, waiting: { length: 5 } }])
    const second = done(raised)
    expect(second.refills).toMatchObject([{ type: 't', from: 2, to: 3, waiting: { length: 5 } }])
    expect(second.refills[0]?.id).not.toBe(raised.refills[0]?.id)
    expect(done(second).refills).toEqual([])
  })

  it('also if it is raised again meanwhile, or lowered', () => {
    const second = done(raised)
    const more = setBucketType(second, { name: 't', bytes: bytes(5), n: 5, nBefore: 3 })
    expect(more.refills).toMatchObject([{ from: 2, to: 5, waiting: { length: 5 } }])
    const less = setBucketType(more, { name: 't', bytes: bytes(4), n: 4, nBefore: 5 })
    expect(less.refills).toMatchObject([{ from: 2, to: 4 }])
    expect(setBucketType(less, { name: 't', bytes: bytes(2), n: 2, nBefore: 4 }).refills).toEqual([])
  })
})

describe('when a list gets longer the document says when', () => {
  it('of that list alone, for the last time, and of all its parts when the ring gets more partitions', () => {
    const one = { ...clusterOf(['n1', 'n2'], { partitions: 8, n: 1 }), epoch: 4 }
    const longer = (document: ClusterDocument, at: number, epoch: number): ClusterDocument => {
      const replicas = document.replicas.map((list, partition) => (partition === at ? [...list, 'n9'] : list))
      return withGrowth(document, { ...document, epoch, replicas })
    }
    expect(withGrowth(one, { ...one, epoch: 5 }).grownAt).toEqual([])
    const first = longer(one, 2, 5)
    expect(first.grownAt).toEqual([0, 0, 5, 0, 0, 0, 0, 0])
    const second = longer(longer(first, 3, 6), 2, 7)
    expect(second.grownAt).toEqual([0, 0, 7, 6, 0, 0, 0, 0])
    const shorter = { ...second, epoch: 8, replicas: one.replicas }
    expect(withGrowth(second, shorter).grownAt).toEqual(second.grownAt)
  })
})
