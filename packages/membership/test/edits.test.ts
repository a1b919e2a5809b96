import { describe, expect, it } from 'vitest'
import {
  type Change,
  type ClusterDocument,
  clearStaged,
  commit,
  exited,
  handed,
  isReady,
  markDown,
  markUp,
  planOf,
  planText,
  refilled,
  setAddress,
  setBucketType,
  stage,
  unstage,
  votersOf,
} from '../src/index.ts'
import { fits } from '../src/layout.ts'
import { clusterOf, commitAll, finishMoves, idOf, join } from './kit.ts'

const held = (document: ClusterDocument, node: string) =>
  document.replicas.filter((holders) => holders.includes(node)).length
const stateOf = (document: ClusterDocument, node: string) => document.members.get(node)?.state
const refusal = (text: string | RegExp) =>
  expect.objectContaining({ code: 'ATOLL_CHANGE_REFUSED', message: expect.stringMatching(text) })
const refusing = (run: () => unknown, text: string | RegExp) => expect(run).toThrow(refusal(text))

describe('a cluster that grows and shrinks', () => {
  it('goes 1 -> 5 -> 3 and replaces a node, moving what the plan said and little more than the least', () => {
    let document = clusterOf(['n1'])
    const step = (changes: Parameters<typeof commitAll>[1]) => {
      const staged = changes.reduce(stage, document)
      const plan = planOf(staged)
      expect(plan.moved).toBeLessThanOrEqual(1.2 * plan.leastMoves)
      expect(plan.movedPartitions).toBeLessThanOrEqual(1.2 * plan.leastPartitions)
      const committed = commit(staged, plan)
      expect(committed.moves).toEqual(plan.transfers.map(({ bytes: _, ...move }) => move))
      expect(committed.moves.filter(({ kind }) => kind !== 'drop')).toHaveLength(plan.moved)
      document = finishMoves(committed)
      expect(document.moves).toEqual([])
      for (const holders of document.replicas) {
        expect(holders).toHaveLength(
          Math.min(3, [...plan.members.values()].filter(({ state }) => state === 'valid').length),
        )
      }
      return plan
    }
    step([join('n2'), join('n3'), join('n4'), join('n5')])
    step([
      { kind: 'leave', node: 'n2' },
      { kind: 'leave', node: 'n4' },
    ])
    expect(stateOf(document, 'n2')).toBe('exiting')
    document = exited(exited(document, 'n2'), 'n4')
    expect([...document.members.keys()]).toEqual(['n1', 'n3', 'n5'])
    const copies = held(document, 'n3')
    const plan = step([join('n6'), { kind: 'replace', node: 'n3', by: 'n6' }])
    expect(plan.moved).toBe(copies)
    expect(held(document, 'n6')).toBe(copies)
  })

  it.each([2, 3, 4, 5, 6, 8])('lets %i nodes be joined by one more', (count) => {
    const nodes = Array.from({ length: count }, (_, at) => `n${at + 1}`)
    const staged = stage(clusterOf(nodes), join('n99'))
    const plan = planOf(staged)
    expect(plan.moved).toBeLessThanOrEqual(1.2 * plan.leastMoves)
    const after = finishMoves(commit(staged, plan))
    expect(held(after, 'n99')).toBeGreaterThan(0)
  })

  it.each([3, 4, 5, 6, 8])('lets one of %i nodes leave', (count) => {
    const nodes = Array.from({ length: count }, (_, at) => `n${at + 1}`)
    const staged = stage(clusterOf(nodes), { kind: 'leave', node: 'n2' })
    const plan = planOf(staged)
    expect(plan.moved).toBeLessThanOrEqual(1.2 * plan.leastMoves)
    const after = finishMoves(commit(staged, plan))
    expect(held(after, 'n2')).toBe(0)
    expect(stateOf(after, 'n2')).toBe('exiting')
  })
})

describe('staging', () => {
  const three = clusterOf(['n1', 'n2', 'n3'])

  it('makes a node that joins a member at once, and forgets it when that is taken back', () => {
    const staged = stage(three, join('n4', 'east'))
    expect(staged.epoch).toBe(2)
    expect(staged.members.get('n4')).toMatchObject({ state: 'joining', zone: 'east' })
    expect(votersOf(staged)).toEqual(['n1', 'n2', 'n3'])
    expect(stage(staged, join('n4', 'east'))).toBe(staged)
    expect(unstage(staged, 'n4').members.has('n4')).toBe(false)
    expect(clearStaged(staged)).toMatchObject({ epoch: 3, staged: [] })
    expect(clearStaged(three)).toBe(three)
    refusing(() => unstage(three, 'n4'), /nothing is staged/)
  })

  it('takes back a replacement with the join that it needs', () => {
    const staged = [join('n4'), { kind: 'replace', node: 'n1', by: 'n4' } as const].reduce(stage, three)
    expect(unstage(staged, 'n4')).toMatchObject({ staged: [] })
    expect(unstage(staged, 'n1').staged).toEqual([join('n4')])
  })

  it('refuses a name that is taken, and says what to do with a disk that was wiped', () => {
    const wiped = { ...join('n2'), id: idOf('n2', 7) }
    refusing(
      () => stage(three, wiped),
      /start it with its data, or stage a force-replace of n2 by itself with id/,
    )
    const coming = stage(three, join('n4'))
    refusing(
      () => stage(coming, { ...join('n4'), id: idOf('n4', 7) }),
      /call unstage\('n4'\) and let it join anew/,
    )
    refusing(() => stage(three, join('n2')), /member already/)
    refusing(() => stage(three, { ...join('n9'), id: idOf('n2') }), /n2 has the same data/)
  })

  it.each<[string, Change, RegExp]>([
    ['a stranger', { kind: 'leave', node: 'n9' }, /no member/],
    ['a replacement by a member', { kind: 'replace', node: 'n1', by: 'n2' }, /n2 has joined already/],
    ['a replacement by a stranger', { kind: 'replace', node: 'n1', by: 'n9' }, /no member/],
    [
      'a return without an id',
      { kind: 'force-replace', node: 'n1', by: 'n1' },
      /id of its new data is missing/,
    ],
    [
      'a return with an id that is taken',
      { kind: 'force-replace', node: 'n1', by: 'n1', id: idOf('n2') },
      /n2 has that id/,
    ],
    ['a zone of a stranger', { kind: 'zone', node: 'n9', zone: 'a' }, /no member/],
  ])('refuses %s', (_, change, why) => refusing(() => stage(three, change), why))

  it('refuses two changes of one node, but a zone beside another', () => {
    const leaving = stage(three, { kind: 'leave', node: 'n1' })
    refusing(() => stage(leaving, { kind: 'force-remove', node: 'n1' }), /let n1 leave is staged already/)
    expect(stage(leaving, { kind: 'zone', node: 'n1', zone: 'a' }).staged).toHaveLength(2)
  })

  it('refuses one node to take two places, and a leave of one that is down', () => {
    const staged = [join('n4'), { kind: 'replace', node: 'n1', by: 'n4' } as const].reduce(stage, three)
    refusing(
      () => stage(staged, { kind: 'replace', node: 'n2', by: 'n4' }),
      /takes the place of n1 already; call unstage\('n1'\) first/,
    )
    refusing(() => stage(markDown(three, 'n1'), { kind: 'leave', node: 'n1' }), /down and cannot hand over/)
  })

  it('plans nothing that leaves nobody', () => {
    const alone = stage(clusterOf(['n1']), { kind: 'leave', node: 'n1' })
    refusing(() => planOf(alone), /no node would be left/)
  })
})

describe('a commit', () => {
  it('needs something staged, and a plan of the cluster as it is', () => {
    const three = clusterOf(['n1', 'n2', 'n3'])
    refusing(() => commit(three, planOf(three)), /nothing is staged/)
    const staged = stage(three, join('n4'))
    const plan = planOf(staged)
    const stale = expect.objectContaining({ code: 'ATOLL_STALE_PLAN' })
    expect(() => commit(stage(staged, join('n5')), plan)).toThrow(stale)
    expect(() => commit(markDown(staged, 'n1'), plan)).toThrow(stale)
    const unrelated = setBucketType(setAddress(staged, 'n1', 'elsewhere:1'), {
      name: 't',
      bytes: new Uint8Array(1),
      n: 2,
    })
    expect(commit(unrelated, plan).staged).toEqual([])
    refusing(() => commit(staged, { ...plan, owners: plan.owners.map(() => 'n9') }), /n9 cannot own/)
  })

  it('lets nobody wait for violations that cannot be helped', () => {
    let document = clusterOf(['n1'])
    for (const node of ['n2', 'n3', 'n4']) document = finishMoves(commitAll(document, [join(node)]))
    document = finishMoves(commitAll(document, [{ kind: 'leave', node: 'n4' }]))
    expect(document.members.get('n4')?.state).toBe('exiting')
  })

  it('asks before replicas meet in a zone, if that could be helped', () => {
    const nodes = Array.from({ length: 12 }, (_, at) => `n${at + 1}`)
    const zones = nodes.map((node, at) => ({ kind: 'zone', node, zone: `z${at % 4}` }) as const)
    const zoned = finishMoves(commitAll(clusterOf(nodes), zones))
    expect(planOf(zoned).violations).toEqual([])
    const replacing = (document: ClusterDocument) =>
      [join('n13', 'z1'), { kind: 'replace', node: 'n1', by: 'n13' } as const].reduce(stage, document)
    // The next three owners meet a zone twice, the lists do not: nothing is unsafe.
    const harmless = replacing(zoned)
    expect(planOf(harmless).violations).toEqual([])
    expect(commit(harmless, planOf(harmless)).staged).toEqual([])
    // Longer lists keep their order, so that of the first three two may be in one zone.
    const bytes = new Uint8Array([1])
    const long = finishMoves(setBucketType(zoned, { name: 't', bytes, n: 5, nBefore: 3 }))
    const worse = replacing(long)
    const { violations } = planOf(worse)
    const goal = finishMoves(commit(worse, planOf(worse), { allowViolations: true })).replicas
    const zoneOf = (node: string) => planOf(worse).members.get(node)?.zone
    const isShort = (list: readonly string[]) => new Set(list.slice(0, 3).map(zoneOf)).size < 3
    const short = [...goal.keys()].filter((partition) => isShort(goal[partition] ?? []))
    expect(short.length).toBeGreaterThan(0)
    expect(violations.map(({ partition, kind }) => [partition, kind])).toEqual(
      short.map((partition) => [partition, 'zone']),
    )
    const text = new RegExp(
      `${short.length} of 64 partitions will have their 3 replicas in 2 zones, and could have them in 3; partition ${short[0]} is on`,
    )
    refusing(() => commit(worse, planOf(worse)), text)
    expect(planText(worse, planOf(worse))).toMatch(text)
  })

  it('gives a replacement exactly what the other one held', () => {
    const five = clusterOf(['n1', 'n2', 'n3', 'n4', 'n5'])
    const after = commitAll(five, [join('n6'), { kind: 'replace', node: 'n2', by: 'n6' }])
    expect(
      after.moves.every((move) => move.kind === 'replace' && move.from === 'n2' && move.to === 'n6'),
    ).toBe(true)
    expect(after.moves).toHaveLength(held(five, 'n2'))
    expect(stateOf(finishMoves(after), 'n2')).toBe('exiting')
  })

  it('finishes what has begun, and leads what has not on to its new goal', () => {
    const grown = commitAll(clusterOf(['n1', 'n2', 'n3']), [join('n4')])
    const again = commitAll(grown, [{ kind: 'leave', node: 'n4' }])
    const toN4 = again.moves.filter((move) => move.kind === 'replace' && move.to === 'n4')
    expect(toN4.length).toBeGreaterThan(0)
    expect(again.replicas).toEqual(grown.replicas)
    const end = finishMoves(again)
    expect(held(end, 'n4')).toBe(0)
    for (const holders of end.replicas) expect(new Set(holders)).toEqual(new Set(['n1', 'n2', 'n3']))
  })
})

describe('a plan over others that are pending', () => {
  const replaceBy = (node: string, by: string): Change[] => [join(by), { kind: 'replace', node, by }]
  const leave = (node: string): Change => ({ kind: 'leave', node })
  const two = clusterOf(['n1', 'n2'], { partitions: 8, n: 2 })

  it('drops in favour of an heir that is led on', () => {
    const plans = [replaceBy('n1', 'n3'), [...replaceBy('n3', 'n4'), leave('n2')], replaceBy('n4', 'n5')]
    const end = finishMoves(plans.reduce(commitAll, two))
    expect(end.moves).toEqual([])
    for (const list of end.replicas) expect(list).toEqual(['n5'])
    expect(stateOf(end, 'n2')).toBe('exiting')
  })
})

describe('nodes that are lost', () => {
  const five = clusterOf(['n1', 'n2', 'n3', 'n4', 'n5'])

  it('are in no list any more at once, and the others copy what is missing', () => {
    const after = commitAll(five, [{ kind: 'force-remove', node: 'n2' }])
    expect(after.members.has('n2')).toBe(false)
    expect(held(after, 'n2')).toBe(0)
    const added = after.moves.filter(({ kind }) => kind === 'add')
    expect(added.length).toBeGreaterThanOrEqual(held(five, 'n2'))
    for (const move of added) {
      if (move.kind === 'add') expect(move.waiting).toEqual(after.replicas[move.partition])
    }
    for (const holders of finishMoves(after).replicas) expect(holders).toHaveLength(3)
  })

  it('come back under their old name with new data', () => {
    const back = { kind: 'force-replace', node: 'n2', by: 'n2', id: idOf('n2', 1), address: 'new:1' } as const
    const after = commitAll(markDown(five, 'n2'), [back])
    expect(after.members.get('n2')).toEqual(
      expect.objectContaining({ id: idOf('n2', 1), address: 'new:1', state: 'valid' }),
    )
    expect(held(after, 'n2')).toBe(0)
    const end = finishMoves(after)
    expect(end.replicas.map((holders) => [...holders].sort())).toEqual(
      five.replicas.map((holders) => [...holders].sort()),
    )
  })

  it('give their place to another one', () => {
    const after = commitAll(five, [join('n6'), { kind: 'force-replace', node: 'n2', by: 'n6' }])
    expect(after.moves).toHaveLength(held(five, 'n2'))
    expect(after.moves.every((move) => move.kind === 'add' && move.to === 'n6')).toBe(true)
  })

  it('are not waited for by moves that began before', () => {
    const grown = commitAll(five, [join('n6')])
    const lost = commitAll(grown, [{ kind: 'force-remove', node: 'n6' }])
    expect(finishMoves(lost).replicas.flat()).not.toContain('n6')
    const sources = commitAll(grown, [{ kind: 'force-remove', node: 'n1' }])
    expect(
      sources.moves.some((move) => ('from' in move ? move.from === 'n1' : move.waiting.includes('n1'))),
    ).toBe(false)
    expect(finishMoves(sources).replicas.flat()).not.toContain('n1')
  })

  it('are named in the plan if nobody else has their data', () => {
    const two = clusterOf(['n1', 'n2'], { n: 1 })
    const staged = stage(two, { kind: 'force-remove', node: 'n2' })
    const plan = planOf(staged)
    expect(plan.lost).toEqual(
      [...two.replicas.keys()].filter((partition) => two.replicas[partition]?.[0] === 'n2'),
    )
    expect(planText(staged, plan)).toMatch(/all copies of 32 partitions are lost/)
    expect(commit(staged, plan).replicas).toEqual(Array.from({ length: 64 }, () => ['n1']))
  })
})

describe('members', () => {
  it('that are down keep what they hold, have no vote, and are not waited for', () => {
    const grown = commitAll(clusterOf(['n1', 'n2']), [join('n3')])
    expect(grown.moves[0]).toMatchObject({ kind: 'add', to: 'n3', waiting: ['n1', 'n2'] })
    const down = markDown(grown, 'n1')
    expect(votersOf(down)).toEqual(['n2', 'n3'])
    expect(held(down, 'n1')).toBe(64)
    expect(down.moves[0]).toMatchObject({ waiting: ['n2'] })
    expect(markDown(down, 'n1')).toBe(down)
    const back = markUp(down, 'n1')
    expect(back.moves[0]).toMatchObject({ waiting: ['n2', 'n1'] })
    expect(stateOf(back, 'n1')).toBe('valid')
    expect(markUp(back, 'n1')).toBe(back)
  })

  it('that left and were down go on leaving when they are back', () => {
    const leaving = commitAll(clusterOf(['n1', 'n2', 'n3', 'n4']), [{ kind: 'leave', node: 'n4' }])
    expect(stateOf(markUp(markDown(leaving, 'n4'), 'n4'), 'n4')).toBe('leaving')
  })

  it('cannot all be down', () => {
    const one = markDown(clusterOf(['n1', 'n2']), 'n1')
    refusing(() => markDown(one, 'n2'), /no other member could decide/)
    refusing(() => markUp(stage(one, join('n3')), 'n3'), /joining/)
  })

  it('stay until they are exiting', () => {
    const three = clusterOf(['n1', 'n2', 'n3'])
    refusing(() => exited(three, 'n1'), /not exiting/)
    expect(exited(three, 'n9')).toBe(three)
    expect(setAddress(three, 'n1', 'x:1').members.get('n1')?.address).toBe('x:1')
    expect(setAddress(three, 'n1', 'n1:1')).toBe(three)
  })
})

describe('moves', () => {
  it('are reported by their sources alone, and in their order', () => {
    const grown = commitAll(clusterOf(['n1', 'n2', 'n3']), [join('n4')])
    const [move] = grown.moves
    if (move?.kind !== 'replace') throw new Error('the first move of a fourth node is a replacement')
    refusing(() => handed(grown, 'n9', [move]), /no such replace/)
    refusing(() => handed(grown, move.from, [{ ...move, to: 'n9' }]), /no such replace/)
    expect(handed(grown, move.from, [])).toBe(grown)
    const after = handed(grown, move.from, [move])
    expect(after.replicas[move.partition]).toContain('n4')
    refusing(() => handed(after, move.from, [move]), /no such replace/)
  })

  it('wait for those before them that take the same node in or out', () => {
    const leave = (node: string): Change => ({ kind: 'leave', node })
    const four = clusterOf(['n1', 'n2', 'n3', 'n4'], { partitions: 8 })
    const pending = [[leave('n1')], [join('n5')], [leave('n2')]].reduce(commitAll, four)
    const chained = pending.moves.filter((move) => !isReady(pending, move))
    // One to n4 could begin by the list alone, but another to n4 and on to n5 comes before it.
    const early = chained.find((move) => fits(pending.replicas[move.partition] ?? [], move))
    if (early?.kind !== 'replace') throw new Error('a replacement has to wait for another')
    refusing(() => handed(pending, early.from, [early]), /another move of the partition comes first/)
    const end = finishMoves(pending, (ready) => ready.at(-1))
    for (const holders of end.replicas) expect([...holders].sort()).toEqual(['n3', 'n4', 'n5'])
  })

  it('that add a node end when all sources are done', () => {
    const grown = commitAll(clusterOf(['n1', 'n2']), [join('n3')])
    const done = { partition: 5, kind: 'add', to: 'n3' } as const
    const half = handed(grown, 'n1', [done])
    expect(half.replicas[5]).toHaveLength(2)
    expect(handed(half, 'n2', [done]).replicas[5]).toHaveLength(3)
  })
})

describe('bucket types', () => {
  const bytes = new Uint8Array([1])
  const four = clusterOf(['n1', 'n2', 'n3', 'n4'])

  it('owe copies when they get more replicas', () => {
    const first = setBucketType(four, { name: 't', bytes, n: 2 })
    expect(first.refills).toEqual([])
    expect(setBucketType(first, { name: 't', bytes, n: 2 })).toBe(first)
    const raised = setBucketType(first, { name: 't', bytes: new Uint8Array([2]), n: 3, nBefore: 2 })
    expect(raised).toMatchObject({ width: 3, moves: [] })
    expect(raised.refills).toEqual([
      { id: '3/t', type: 't', from: 2, to: 3, waiting: ['n1', 'n2', 'n3', 'n4'] },
    ])
    const some = refilled(refilled(raised, 'n1', ['3/t']), 'n2', ['3/t'])
    expect(some.refills[0]?.waiting).toEqual(['n3', 'n4'])
    expect(refilled(some, 'n1', ['3/t'])).toBe(some)
    expect(refilled(refilled(some, 'n3', ['3/t']), 'n4', ['3/t', 'x']).refills).toEqual([])
  })

  it('make the lists longer when they have more replicas than these', () => {
    const wide = setBucketType(four, { name: 't', bytes, n: 4, nBefore: 2 })
    expect(wide.width).toBe(4)
    expect(wide.moves).toHaveLength(64)
    expect(wide.moves.every(({ kind }) => kind === 'add')).toBe(true)
    expect(wide.refills).toMatchObject([{ from: 2, to: 4 }])
    for (const holders of finishMoves(wide).replicas) expect(new Set(holders).size).toBe(4)
  })
})

it('a plan reads as a few lines', () => {
  const staged = [join('n4'), { kind: 'leave', node: 'n1' } as const].reduce(
    stage,
    clusterOf(['n1', 'n2', 'n3']),
  )
  expect(planText(staged, planOf(staged, { bytesOf: () => 1024 * 1024 }))).toBe(
    [
      'Plan of epoch 3',
      '  join n4',
      '  let n1 leave',
      'Moves: 64 copies of partitions, 64 MiB; the least possible is 64',
      '  n1: leaving, holds 64, gives 64, gets 0',
      '  n2: valid, holds 64, gives 0, gets 0',
      '  n3: valid, holds 64, gives 0, gets 0',
      '  n4: valid, holds 0, gives 0, gets 64',
    ].join('\n'),
  )
})

it('a plan says whom it waits for, and what to do if that is gone for good', () => {
  const three = clusterOf(['n1', 'n2', 'n3'])
  const isUp = (node: string) => node !== 'n3'
  const last = (document: ClusterDocument) =>
    planText(document, planOf(document, { isUp })).split('\n').slice(-2)
  const replaced = [join('n4'), { kind: 'replace', node: 'n3', by: 'n4' } as const].reduce(stage, three)
  expect(last(replaced)).toEqual([
    '  n4: valid, holds 0, gives 0, gets 64',
    'Warning: n3 is not up, and this plan is not done before it is back. If it is gone for good, stage a force-replace or a force-remove of it instead',
  ])
  const given = [join('n4'), { kind: 'force-replace', node: 'n3', by: 'n4' } as const].reduce(stage, three)
  expect(planOf(given, { isUp }).waitsFor).toEqual([])
  expect(planOf(stage(three, { kind: 'resize', partitions: 128 }), { isUp }).waitsFor).toEqual(['n3'])
  refusing(
    () => stage(replaced, { kind: 'force-replace', node: 'n3', by: 'n4' }),
    /replace n3 by n4 is staged already; call unstage\('n3'\) first|takes the place of n3 already; call unstage\('n3'\)/,
  )
  const committed = commitAll(three, [join('n4'), { kind: 'replace', node: 'n3', by: 'n4' }])
  refusing(
    () => stage(committed, { kind: 'force-replace', node: 'n3', by: 'n4' }),
    /n4 has joined already: .*; stage a force-remove of n3 instead/,
  )
})

it('a plan says where replicas are missing, with the names of those that are there', () => {
  const staged = stage(clusterOf(['n1', 'n2', 'n3']), { kind: 'leave', node: 'n1' })
  expect(planText(staged, planOf(staged)).split('\n').at(-1)).toBe(
    'Warning: 64 of 64 partitions will have fewer than 3 replicas; partition 0 is on n3, n2',
  )
})
