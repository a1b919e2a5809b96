import { isAtollError } from '@atoll/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Change,
  type ClusterDocument,
  commit,
  exited,
  filledReplicas,
  handed,
  isReady,
  isRestored,
  type Move,
  markDown,
  markUp,
  planOf,
  refilled,
  setBucketType,
  stage,
  withPromotions,
} from '../src/index.ts'
import { clusterOf, finishMoves, idOf, newMember, sourceOf } from './kit.ts'

const NODES = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6']
const replicasOf = (properties: Uint8Array) => properties[0]

const typed = (document: ClusterDocument, name: string, n: number, nBefore?: number) =>
  setBucketType(document, { name, bytes: new Uint8Array([n]), n, nBefore })

/** As the node does: what follows from an edit is decided with it. */
const follow = (before: ClusterDocument, after: ClusterDocument) =>
  after === before ? before : withPromotions(before, after, replicasOf)

const commitsAll = (document: ClusterDocument, changes: readonly Change[]) => {
  const staged = changes.reduce(stage, document)
  return follow(staged, commit(staged, planOf(staged)))
}

const raised = (document: ClusterDocument) =>
  document.refills.flatMap((refill) =>
    isRestored(refill) ? [] : [{ type: refill.type, from: refill.from, to: refill.to }],
  )

describe('a list that gets shorter', () => {
  const three = typed(clusterOf(['n1', 'n2', 'n3'], { partitions: 8 }), 'notes', 2)

  it('has who moves up by a loss filled, as if n had been raised', () => {
    const lost = commitsAll(three, [{ kind: 'force-remove', node: 'n2' }])
    expect(raised(lost)).toEqual([{ type: 'notes', from: 1, to: 2 }])
    expect(lost.refills[0]?.waiting).toEqual(['n1', 'n3'])
    const done = refilled(refilled(lost, 'n1', [lost.refills[0]?.id ?? '']), 'n3', [
      lost.refills[0]?.id ?? '',
    ])
    expect(done.refills).toEqual([])
  })

  it('has nobody move up by a leave: who gets all stands where the other stood', () => {
    const left = commitsAll(three, [{ kind: 'leave', node: 'n1' }])
    const move = left.moves.find(({ partition }) => left.replicas[partition]?.[0] === 'n1')
    expect(move?.kind).toBe('drop')
    const partition = move?.partition ?? 0
    const dropped = follow(left, handed(left, 'n1', move === undefined ? [] : [move]))
    const [, second, third] = left.replicas[partition] ?? []
    expect(dropped.replicas[partition]).toEqual([third, second])
    expect(dropped.refills).toEqual([])
  })

  it('has who moves up filled where the last one is nobody to get all', () => {
    const moves: Move[] = [{ kind: 'drop', partition: 0, from: 'n1', to: 'n2' }]
    const before = { ...three, replicas: [['n1', 'n2', 'n3']], moves }
    const after = handed(before, 'n1', moves)
    expect(after.replicas).toEqual([['n2', 'n3']])
    expect(raised(follow(before, after))).toEqual([{ type: 'notes', from: 1, to: 2 }])
  })

  it('asks for nothing where all types have as many replicas as the list is long', () => {
    const full = typed(clusterOf(['n1', 'n2', 'n3'], { partitions: 8 }), 'notes', 3)
    expect(commitsAll(full, [{ kind: 'force-remove', node: 'n2' }]).refills).toEqual([])
  })

  it('asks for nothing where the last one of the list goes, or a type of one replica has lost it', () => {
    const before = { ...three, replicas: [['n1', 'n2', 'n3']] }
    const shorter = (list: readonly string[]) =>
      raised(follow(before, { ...before, epoch: before.epoch + 1, replicas: [list] }))
    expect(shorter(['n1', 'n2'])).toEqual([])
    expect(shorter(['n1', 'n3'])).toEqual([{ type: 'notes', from: 1, to: 2 }])
    const single = typed(before, 'single', 1)
    expect(raised(follow(single, { ...single, replicas: [['n2', 'n3']] }))).toEqual([
      { type: 'notes', from: 1, to: 2 },
    ])
  })

  it('knows who was added while the list was longer, and whose place was taken', () => {
    const moves: Move[] = [
      { kind: 'add', partition: 0, to: 'n4', waiting: ['n1'] },
      { kind: 'replace', partition: 0, from: 'n1', to: 'n5' },
    ]
    const before = { ...typed(three, 'full', 3), replicas: [['n1', 'n2', 'n3']], moves }
    const after = { ...before, epoch: before.epoch + 1, moves: [], replicas: [['n5', 'n2', 'n4']] }
    // What n4 was given reaches to the fourth replica of a type.
    expect(raised(follow(before, after))).toEqual([{ type: 'full', from: 2, to: 3 }])
  })
})

describe('a member that is marked down', () => {
  const three = clusterOf(['n1', 'n2', 'n3'], { partitions: 8 })
  const allBut = (document: ClusterDocument, away: string) =>
    [...document.members.keys()]
      .filter((node) => node !== away)
      .reduce(
        (known, node) =>
          refilled(
            known,
            node,
            known.refills.slice(0, 1).map(({ id }) => id),
          ),
        document,
      )

  it('is waited for where nobody else may have what it has', () => {
    const down = markDown(typed(three, 'notes', 1), 'n1')
    const rising = allBut(typed(down, 'notes', 3, 1), 'n1')
    expect(rising.refills).toMatchObject([{ type: 'notes', from: 1, to: 3, waiting: ['n1'] }])
    expect(markDown(markUp(rising, 'n1'), 'n1').refills).toEqual(rising.refills)
    const risen = refilled(
      markUp(rising, 'n1'),
      'n1',
      rising.refills.map(({ id }) => id),
    )
    expect(raised(risen)).toEqual([{ type: 'notes', from: 2, to: 3 }])
  })

  it('is not waited for where those who are up have what any majority has', () => {
    const down = markDown(typed(clusterOf(NODES, { partitions: 8, n: 4 }), 'notes', 3), 'n1')
    const rising = typed(down, 'notes', 4, 3)
    const ids = rising.refills.map(({ id }) => id)
    const done = NODES.slice(1).reduce((known, node) => refilled(known, node, ids), rising)
    expect(done.refills).toEqual([])
  })
})

/** Numbers that a step is made of: what to do, and on whom. */
type Step = readonly [kind: number, a: number, b: number]

/** Who has all of a bucket type in a partition, and who has offered to whom what the next replica shall have. */
class Copies {
  readonly #has = new Map<string, Set<string>>()
  readonly #offered = new Map<string, Set<string>>()
  /** By partition and node that is added: how long the list was when each source said that it was done. */
  readonly #reaches = new Map<string, Map<string, number>>()
  #isWeak = false
  /** Where nobody has it any more there is nothing to be right about. */
  readonly lost = new Set<string>()

  constructor(document: ClusterDocument) {
    for (const [type, n] of countsOf(document))
      for (const [partition, list] of document.replicas.entries())
        this.#has.set(`${type}/${partition}`, new Set(list.slice(0, n)))
  }

  /** Replicas that are counted on and lack what was written. */
  gaps(document: ClusterDocument): readonly string[] {
    const filled = filledReplicas(document)
    return countsOf(document).flatMap(([type, n]) =>
      document.replicas.flatMap((list, partition) => {
        const place = `${type}/${partition}`
        const has = this.#has.get(place) ?? new Set()
        if (!list.some((node) => has.has(node))) this.lost.add(place)
        if (this.lost.has(place)) return []
        const counted = list.slice(0, Math.min(n, filled.get(type) ?? n))
        return counted.filter((node) => !has.has(node)).map((node) => `${place} on ${node} of ${list}`)
      }),
    )
  }

  /** What `source` hands to another node by a move. */
  hand(before: ClusterDocument, after: ClusterDocument, move: Move): void {
    const list = before.replicas[move.partition] ?? []
    if (move.kind === 'add') {
      const place = `${move.partition} ${move.to}`
      this.#reaches.set(place, (this.#reaches.get(place) ?? new Map()).set(sourceOf(move), list.length))
    }
    const isDone = after.replicas[move.partition] !== list
    if (!isDone) return
    for (const [type] of countsOf(before)) {
      const has = this.#has.get(`${type}/${move.partition}`)
      if (move.kind !== 'add' && has?.has(move.from) === true) has.add(move.to)
      if (move.kind !== 'replace') continue
      for (const [key, sources] of this.#offered) {
        if (sources.has(move.from)) sources.add(move.to)
        const [id = '', partition, target] = key.split(' ')
        if (Number(partition) === move.partition && target === move.from)
          this.#offered.set(`${id} ${partition} ${move.to}`, new Set(sources))
      }
    }
  }

  /** Who was added got what reached as far as the list did when those who hold it now said that they were done. */
  add(before: ClusterDocument, after: ClusterDocument): void {
    for (const { kind, partition, to } of before.moves) {
      const list = before.replicas[partition] ?? []
      if (kind !== 'add' || after.replicas[partition]?.includes(to) !== true || list.includes(to)) continue
      const reaches = this.#reaches.get(`${partition} ${to}`) ?? new Map<string, number>()
      const reach = Math.max(list.length, ...list.map((node) => reaches.get(node) ?? 0))
      for (const [type, n] of countsOf(before)) if (n > reach) this.#has.get(`${type}/${partition}`)?.add(to)
    }
  }

  offer(document: ClusterDocument, node: string, refill: ClusterDocument['refills'][number]): void {
    if (isRestored(refill)) return
    for (const [partition, list] of document.replicas.entries()) {
      const [first, target] = [list.slice(0, refill.from), list[refill.from]]
      if (target === undefined || !first.includes(node)) continue
      const key = `${refill.id} ${partition} ${target}`
      this.#offered.set(key, (this.#offered.get(key) ?? new Set()).add(node))
    }
  }

  /** Steps of refills that are over now: who has been offered what every majority of the replicas had, has it. */
  step(before: ClusterDocument, after: ClusterDocument): void {
    for (const refill of before.refills) {
      if (isRestored(refill) || after.refills.some(({ id }) => id === refill.id)) continue
      for (const [partition, list] of before.replicas.entries()) {
        const target = list[refill.from] ?? ''
        const offered = this.#offered.get(`${refill.id} ${partition} ${target}`) ?? new Set()
        const first = list.slice(0, refill.from)
        const missing = first.filter((node) => !offered.has(node)).length
        if (first.length > 0 && missing <= first.length / 2)
          this.#has.get(`${refill.type}/${partition}`)?.add(target)
      }
    }
  }

  /** What has n replicas from now on is nowhere else counted on; a type that was not there is empty everywhere. */
  type(name: string, document: ClusterDocument, isNew: boolean): void {
    if (!isNew) return
    for (const [partition, list] of document.replicas.entries())
      this.#has.set(`${name}/${partition}`, new Set(list))
  }

  /** Whether what a lost node had is not made up for yet. */
  isWeak({ moves, refills }: ClusterDocument): boolean {
    this.#isWeak &&= moves.length + refills.length > 0
    return this.#isWeak
  }

  lose(before: ClusterDocument, document: ClusterDocument): void {
    this.#isWeak ||= [...before.members.keys()].some((node) => !document.members.has(node))
    for (const has of this.#has.values())
      for (const node of has) if (!document.members.has(node)) has.delete(node)
  }
}

function countsOf({ bucketTypes }: ClusterDocument): readonly (readonly [string, number])[] {
  return [...bucketTypes].map(([type, bytes]) => [type, bytes[0] ?? 0] as const)
}

const step: fc.Arbitrary<Step> = fc.tuple(fc.integer({ min: 0, max: 24 }), fc.nat(1000), fc.nat(1000))
const nodeOf = (number: number) => NODES[number % NODES.length] ?? ''

it('whatever is done in whatever order, every replica that is counted on has what was written', () => {
  let promotions = 0
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 90 }), (steps) => {
      let document = clusterOf(NODES.slice(0, 4), { partitions: 8, n: 3 })
      document = typed(typed(typed(document, 't2', 2), 't3', 3), 't4', 4)
      document = finishMoves(document)
      const copies = new Copies(document)
      for (const [at, next] of steps.entries()) {
        const before = document
        try {
          document = take(before, next, { at, copies })
        } catch (error) {
          if (!isAtollError(error, 'ATOLL_CHANGE_REFUSED')) throw error
          continue
        }
        copies.lose(before, document)
        copies.add(before, document)
        copies.step(before, document)
        if (document.refills.length > before.refills.length && before.replicas !== document.replicas)
          promotions += 1
        expect(copies.gaps(document)).toEqual([])
      }
    }),
    { numRuns: 300, seed: 11 },
  )
  expect(promotions).toBeGreaterThan(50)
})

/** What two nodes that are lost, or one of them down, had together nobody else may have: see the limits. */
function isTwiceBeset(document: ClusterDocument, copies: Copies): boolean {
  const { members, staged } = document
  const lost = staged.flatMap((change) => (change.kind === 'force-remove' ? [change.node] : []))
  const isDown = [...members.values()].some(({ node, state }) => state === 'down' && !lost.includes(node))
  return lost.length > 1 || (lost.length === 1 && (isDown || copies.isWeak(document)))
}

function take(
  document: ClusterDocument,
  [kind, a, b]: Step,
  { at, copies }: { readonly at: number; readonly copies: Copies },
): ClusterDocument {
  const node = nodeOf(a)
  switch (kind) {
    case 0:
      return stage(document, { kind: 'join', ...newMember(node), id: idOf(node, at + 1) })
    case 1:
      return stage(document, { kind: 'leave', node })
    case 2:
      return stage(document, { kind: 'replace', node, by: nodeOf(b) })
    case 3:
      return stage(document, { kind: 'force-remove', node })
    case 4:
      return copies.isWeak(document) ? document : markDown(document, node)
    case 5:
      return markUp(document, node)
    case 6:
      return exited(document, node)
    case 7: {
      const name = `t${2 + (a % 3)}`
      const nBefore = document.bucketTypes.get(name)?.[0]
      // It goes down by one at most: see the limits.
      const n = Math.max((nBefore ?? 1) - 1, 2 + (b % 3), 2)
      return typed(document, name, n, nBefore)
    }
    case 8:
    case 9:
    case 10:
      return isTwiceBeset(document, copies)
        ? document
        : follow(document, commit(document, planOf(document), { allowViolations: true }))
    case 11:
    case 12:
    case 13:
    case 14: {
      const [refill] = document.refills
      const from = refill?.waiting.filter((one) => document.members.get(one)?.state !== 'down')[0]
      if (refill === undefined || from === undefined) return document
      copies.offer(document, from, refill)
      return refilled(document, from, [refill.id])
    }
    default: {
      const ready = document.moves.filter((move) => isReady(document, move))
      const move = ready[(a * 31 + b) % Math.max(1, ready.length)]
      if (move === undefined) return document
      const after = follow(document, handed(document, sourceOf(move), [move]))
      copies.hand(document, after, move)
      return after
    }
  }
}
