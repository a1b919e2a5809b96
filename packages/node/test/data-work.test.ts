import {
  begun,
  type ClusterDocument,
  catchingUp,
  commit,
  filesNext,
  firstDocument,
  handed,
  markDown,
  planOf,
  refiled,
  refilled,
  stage,
} from '@atoll/membership'
import { describe, expect, test } from 'vitest'
import {
  filledNext,
  heldBy,
  nameOfWork,
  type Outlook,
  offered,
  offeredTo,
  workFor,
} from '../src/data-work.ts'

const id = (node: string) => Buffer.from(node.padEnd(8)).toString('hex')
const member = (node: string) => ({ node, id: id(node), address: node })

function clusterOf(...nodes: string[]): ClusterDocument {
  return firstDocument({ clusterId: 'test', partitions: 8, members: nodes.map(member) })
}

function grown(document: ClusterDocument, node: string): ClusterDocument {
  const staged = stage(document, { kind: 'join', ...member(node) })
  return commit(staged, planOf(staged), { allowViolations: true })
}

function outlook(document: ClusterDocument, node: string, more: Partial<Outlook> = {}): Outlook {
  const filed = document.ring.partitions
  return { node, document, filed, held: [], surplus: [], outgoing: new Map(), isUp: () => true, ...more }
}

const names = (look: Outlook) => workFor(look).map(nameOfWork)

describe('the data of a node', () => {
  test('is where it belongs: there is nothing to do', () => {
    const document = clusterOf('n1', 'n2', 'n3')
    expect(workFor(outlook(document, 'n1', { held: [0, 1, 2, 3, 4, 5, 6, 7] }))).toEqual([])
  })

  test('is handed over by whoever is replaced, while the new holder is up', () => {
    const document = grown(clusterOf('n1', 'n2', 'n3'), 'n4')
    const move = document.moves.find(({ kind }) => kind === 'replace')
    if (move?.kind !== 'replace') throw new Error('a fourth node takes the place of others')
    expect(names(outlook(document, move.from))).toContain(`transfer ${move.partition} to n4`)
    expect(names(outlook(document, move.from, { isUp: (node) => node !== 'n4' }))).toEqual([])
    expect(names(outlook(document, 'n4'))).toEqual([])
  })

  test('that is an older copy is handed over only once it has caught up, and what has begun is taken back', () => {
    const moving = grown(clusterOf('n1', 'n2', 'n3'), 'n4')
    const move = moving.moves.find(({ kind }) => kind === 'replace')
    if (move?.kind !== 'replace') throw new Error('a fourth node takes the place of others')
    const { from, partition } = move
    const older = begun(moving, from, { generation: 'a'.repeat(24), known: [], isRestored: true })
    const outgoing = new Map([[partition, 'n4']])
    const works = (document: ClusterDocument, more?: Partial<Outlook>) => names(outlook(document, from, more))
    expect(works(older).filter((name) => name.startsWith('transfer'))).toEqual([])
    expect(works(older, { outgoing })).toContain(`cancel ${partition}`)
    const [{ id: refill } = { id: '' }] = older.refills
    const others = catchingUp(older).get(from) ?? []
    const caughtUp = others.reduce((known, node) => refilled(known, node, [refill]), older)
    expect(works(caughtUp)).toContain(`transfer ${partition} to n4`)
  })

  test('is copied by all holders to one who joins the list', () => {
    const document = grown(clusterOf('n1', 'n2'), 'n3')
    expect(document.moves.map(({ kind }) => kind)).toEqual(Array(8).fill('add'))
    for (const node of ['n1', 'n2']) expect(names(outlook(document, node))).toContain('copy 0 to n3')
  })

  test('is given to a node that missed some of it, by one holder after the other, once that is up', () => {
    const document = clusterOf('n1', 'n2', 'n3')
    const hinted = [{ partition: 0, node: 'n3' }]
    const holders = document.replicas[0]?.filter((node) => node !== 'n3') ?? []
    for (const [turn, node] of holders.entries()) {
      const work = { kind: 'hints', partition: 0, node: 'n3', turn }
      expect(workFor(outlook(document, node, { hinted }))).toEqual([work])
      expect(workFor(outlook(document, node, { hinted, isUp: (other) => other !== 'n3' }))).toEqual([])
    }
    const [first, second = ''] = holders
    const isUp = (node: string) => node !== first
    expect(workFor(outlook(document, second, { hinted, isUp }))).toMatchObject([{ turn: 0 }])
  })

  test('that a node missed which is about to hold it waits until it is decided that it does', () => {
    const before = clusterOf('n1', 'n2')
    const document = grown(before, 'n3')
    const hinted = [{ partition: 0, node: 'n3' }]
    const kinds = (document: ClusterDocument) =>
      workFor(outlook(document, 'n1', { hinted })).map(({ kind }) => kind)
    expect(kinds(document)).not.toContain('hints')
    const [move] = document.moves.filter(({ partition }) => partition === 0)
    if (move?.kind !== 'add') throw new Error('a third node joins all lists')
    const decided = ['n1', 'n2'].reduce((known, node) => handed(known, node, [move]), document)
    expect(decided.replicas[0]).toContain('n3')
    expect(kinds(decided)).toContain('hints')
  })

  test('that a former holder missed is offered to all holders: it may have handed on what it had', () => {
    const document = clusterOf('n1', 'n2', 'n3')
    const hinted = [{ partition: 0, node: 'n9' }]
    const [first = '', ...others] = document.replicas[0] ?? []
    expect(workFor(outlook(document, first, { hinted }))).toMatchObject([{ kind: 'hints', turn: 0 }])
    expect(offeredTo([first, ...others], { missing: 'n9', own: first })).toEqual(others)
    expect(offeredTo([first, ...others], { missing: first, own: others[0] ?? '' })).toEqual([first])
    // Neither does who has noted it hold the partition: while it gives back what it has, the others come first.
    const to = [first, ...others]
    const giving = { kind: 'give-back', partition: 0, to }
    const last = { kind: 'hints', partition: 0, node: 'n9', turn: 3 }
    expect(workFor(outlook(document, 'n8', { hinted, held: [0] }))).toEqual([giving, last])
    // When it has nothing of it any more, it need not wait.
    expect(workFor(outlook(document, 'n8', { hinted }))).toEqual([{ ...last, turn: 0 }])
    const isUp = (node: string) => node !== others[0]
    expect(workFor(outlook(document, first, { hinted, isUp }))).toEqual([])
  })

  test('is released when the document says that it has moved, and asked back when it is not wanted there', () => {
    const document = grown(clusterOf('n1', 'n2', 'n3'), 'n4')
    const move = document.moves.find(({ kind }) => kind === 'replace')
    if (move?.kind !== 'replace') throw new Error('a fourth node takes the place of others')
    const outgoing = new Map([[move.partition, 'n4']])
    const done = handed(document, move.from, [move])
    expect(names(outlook(done, move.from, { outgoing }))).toContain(`release ${move.partition}`)
    const other = new Map([[move.partition, 'n9']])
    const work = workFor(outlook(document, move.from, { outgoing: other }))
    expect(work).toContainEqual({ kind: 'cancel', partition: move.partition, isLost: true })
    expect(work).not.toContainEqual({ kind: 'transfer', move })
  })

  test('is given back by whoever does not hold it, when all who do are up; not what is arriving', () => {
    const document = clusterOf('n1', 'n2', 'n3', 'n4')
    const stranger = ['n1', 'n2', 'n3', 'n4'].find((node) => !document.replicas[0]?.includes(node)) ?? ''
    const [holder = ''] = document.replicas[0] ?? []
    const look = outlook(document, stranger, { held: [0] })
    expect(workFor(look)).toEqual([{ kind: 'give-back', partition: 0, to: document.replicas[0] }])
    expect(workFor({ ...look, isUp: (node) => node !== holder })).toEqual([])
    expect(workFor({ ...look, outgoing: new Map([[0, 'n9']]) }).map(({ kind }) => kind)).toEqual(['release'])
    const joined = grown(document, 'n5')
    const coming = joined.moves.find(({ to }) => to === 'n5')?.partition ?? -1
    expect(names(outlook(joined, 'n5', { held: [coming] }))).toEqual([])
  })

  test('is given back to one that joins the list, too: who copies to that may have passed it', () => {
    const document = grown(clusterOf('n1', 'n2'), 'n3')
    const { replicas } = document
    expect(replicas[0]).toHaveLength(2)
    expect(workFor(outlook(document, 'n9', { held: [0] }))).toEqual([
      { kind: 'give-back', partition: 0, to: [...(replicas[0] ?? []), 'n3'] },
    ])
    const isUp = (node: string) => node !== 'n3'
    expect(workFor(outlook(document, 'n9', { held: [0], isUp }))).toEqual([])
    expect(names(outlook(document, 'n3', { held: [0] }))).toEqual([])
  })

  test('of a type with few replicas is given to these by the other holders of the partition', () => {
    const document = clusterOf('n1', 'n2', 'n3')
    const [first = '', second = '', third = ''] = document.replicas[0] ?? []
    const surplus = [{ partition: 0, type: 'pairs', n: 2 }]
    const work = { kind: 'give-back', partition: 0, type: 'pairs', to: [first, second] }
    expect(workFor(outlook(document, third, { held: [0], surplus }))).toEqual([work])
  })

  test('is gone from a node that leaves before the node goes', () => {
    const staged = stage(clusterOf('n1', 'n2', 'n3', 'n4'), { kind: 'leave', node: 'n4' })
    let document = commit(staged, planOf(staged), { allowViolations: true })
    for (const move of document.moves) if (move.kind !== 'add') document = handed(document, move.from, [move])
    expect(document.members.get('n4')?.state).toBe('exiting')
    expect(names(outlook(document, 'n4', { held: [3] }))).toEqual([
      `give back all of 3 to ${document.replicas[3]?.join(' ')}`,
    ])
    expect(names(outlook(document, 'n4'))).toEqual(['exit'])
  })

  test('is filed anew, by one node after the other, when the ring has got more partitions', () => {
    const staged = stage(clusterOf('n1', 'n2', 'n3', 'n4'), { kind: 'resize', partitions: 16 })
    const document = commit(staged, planOf(staged))
    const look = (node: string, more: Partial<Outlook> = {}) =>
      names(outlook(more.document ?? document, node, { filed: 8, held: [0], ...more }))
    expect(look('n1')).toEqual(['refile'])
    for (const node of ['n2', 'n3', 'n4']) expect(look(node)).toEqual([])
    expect(look('n1', { filed: 16 })).toContain('refiled')
    const isUp = (node: string) => node !== 'n1'
    expect(look('n2', { isUp })).toEqual(['take-turn'])
    expect(look('n3', { isUp })).toEqual([])
    const turned = filesNext(document, 'n2', { instead: 'n1' })
    expect(look('n2', { document: turned })).toEqual(['refile'])
    expect(look('n1', { document: turned })).toEqual([])
    const filed = refiled(document, 'n1')
    expect(look('n2', { document: filed })).toEqual(['refile'])
    expect(look('n1', { document: filed, filed: 16 })).not.toContain('refiled')
    const done = ['n2', 'n3', 'n4'].reduce(refiled, filed)
    expect(look('n4', { document: done })).toEqual(['refile'])
    expect(look('n4', { document: markDown(document, 'n4') })).toEqual([])
  })

  test('is filed anew when what has begun to move is over', () => {
    const staged = stage(clusterOf('n1', 'n2', 'n3', 'n4'), { kind: 'resize', partitions: 16 })
    const document = commit(staged, planOf(staged))
    const mine = [...document.replicas.keys()].filter((at) => document.replicas[at]?.includes('n1'))
    // Of eight partitions the third ends where the sixth of sixteen does.
    const outgoing = new Map([[3, 'n9']])
    const expected = mine.includes(6) ? 'cancel 3' : 'release 3'
    expect(names(outlook(document, 'n1', { filed: 8, outgoing }))).toEqual([expected])
  })
})

test('copies are offered only if nothing came to the node while it offered them', () => {
  const lifeOf = (digit: string) => ({ generation: digit.repeat(24), known: [], isRestored: digit === 'b' })
  const four = grown(clusterOf('n1', 'n2', 'n3'), 'n4')
  const owing = begun(begun(four, 'n1', lifeOf('a')), 'n1', lifeOf('b'))
  const [{ id: refill } = { id: '' }] = owing.refills
  const move = owing.moves.find((one) => one.kind === 'replace' && one.to === 'n4' && one.from !== 'n1')
  if (move?.kind !== 'replace') throw new Error('a fourth node takes the place of others')
  const held = heldBy(owing, 'n4')
  expect(catchingUp(offered(owing, 'n4', { id: refill, held })).get('n1')).not.toContain('n4')
  const later = handed(owing, move.from, [move])
  expect(() => offered(later, 'n4', { id: refill, held })).toThrow(/while it offered its copies/)
  const again = offered(later, 'n4', { id: refill, held: heldBy(later, 'n4') })
  expect(catchingUp(again).get('n1')).not.toContain('n4')
})

test('a raised n goes up by one at a time, unless a member may not know of that', () => {
  const refill = { id: '1/t', type: 't', from: 1, to: 3, waiting: ['n1'] }
  const document = clusterOf('n1', 'n2', 'n3')
  expect(filledNext(document, refill)).toBe(3)
  const told = begun(document, 'n1', { generation: 'a'.repeat(24), known: [], isRestored: false })
  expect(filledNext(told, refill)).toBe(2)
})
