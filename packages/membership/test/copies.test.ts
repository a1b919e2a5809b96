import { isAtollError } from '@atoll/core'
import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { forcedDocument } from '../src/forcing.ts'
import {
  begun,
  type ClusterDocument,
  commit,
  exited,
  handed,
  markDown,
  markUp,
  planOf,
  setBucketType,
  stage,
} from '../src/index.ts'
import { mayBeRestored, PartitionModel } from './copies.ts'
import { clusterOf, commitAll, join, newMember } from './kit.ts'

const addsOf = (document: ClusterDocument, partition = 0) =>
  document.moves.flatMap((move) =>
    move.kind === 'add' && move.partition === partition ? [{ to: move.to, waiting: move.waiting }] : [],
  )

describe('a node that is added has copies from enough holders before it counts', () => {
  /** One node grows to three, and the second one has come to the list already. */
  const grown = commitAll(clusterOf(['n1'], { partitions: 8 }), [join('n2'), join('n3')])
  const [first, second] = addsOf(grown).map(({ to }) => to) as [string, string]
  const half = handed(grown, 'n1', [{ partition: 0, kind: 'add', to: first }])

  it('though who came to the list meanwhile was not waited for', () => {
    expect(half.replicas[0]).toEqual(['n1', first])
    const down = markDown(half, 'n1')
    expect(down.replicas[0]).toEqual(['n1', first])
    expect(addsOf(down)).toEqual([{ to: second, waiting: [first] }])
  })

  it('also after a forced change', () => {
    const record = { by: first, atMs: 1, missing: ['n1'], reason: 'fire' }
    const missing = [...record.missing, second]
    const forced = forcedDocument(half, (document) => document, { ...record, missing })
    expect(forced.replicas[0]).toEqual(['n1', first])
    expect(addsOf(forced)).toEqual([{ to: second, waiting: [first] }])
  })

  it('though a majority of the list is down, and waits for no more of those than it must', () => {
    const bytes = new Uint8Array([1])
    const five = clusterOf(['n1', 'n2', 'n3', 'n4', 'n5'], { partitions: 8 })
    const [a = '', b = '', c = ''] = five.replicas[0] ?? []
    const down = markDown(markDown(five, a), b)
    const wide = setBucketType(down, { name: 't', bytes, n: 5, nBefore: 3 })
    expect(addsOf(wide).map(({ waiting }) => waiting)).toEqual([
      [a, b, c],
      [a, b, c],
    ])
    const later = markDown(markDown(setBucketType(five, { name: 't', bytes, n: 5, nBefore: 3 }), a), b)
    expect(addsOf(later).map(({ waiting }) => waiting)).toEqual([
      [a, b, c],
      [a, b, c],
    ])
    const [{ to } = { to: '' }] = addsOf(later)
    const some = handed(later, c, [{ partition: 0, kind: 'add', to }])
    expect(addsOf(some)[0]?.waiting).toEqual([a, b])
    expect(addsOf(markUp(some, a))[0]?.waiting).toEqual([a, c])
  })
})

const NODES = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7']
type Step = readonly [kind: number, a: number, b: number]
const step: fc.Arbitrary<Step> = fc.tuple(fc.nat(19), fc.nat(1000), fc.nat(1000))

interface Run {
  readonly steps: readonly Step[]
  readonly count: number
  /** What happens to nodes besides: they are marked down, or put back from older copies. */
  readonly trouble: 'down' | 'restored'
}

function* documentsOf({ steps, count, trouble }: Run, model: PartitionModel): Generator<ClusterDocument> {
  let document = clusterOf(NODES.slice(0, count), { partitions: 8 })
  for (const [at, next] of steps.entries()) {
    try {
      document = take(document, { next, at, trouble }, model)
    } catch (error) {
      if (!isAtollError(error, 'ATOLL_CHANGE_REFUSED')) throw error
    }
    model.follow(document)
    yield document
  }
}

function take(
  document: ClusterDocument,
  { next: [kind, a, b], at, trouble }: { next: Step; at: number; trouble: Run['trouble'] },
  model: PartitionModel,
): ClusterDocument {
  const node = NODES[a % NODES.length] ?? ''
  const by = NODES[b % NODES.length] ?? ''
  switch (kind) {
    case 0:
      return stage(document, { kind: 'join', ...newMember(node) })
    case 1:
      return trouble === 'down' ? document : stage(document, { kind: 'leave', node })
    case 2:
      return stage(stage(document, { kind: 'join', ...newMember(by) }), { kind: 'replace', node, by })
    case 3:
    case 4:
      return commit(document, planOf(document), { allowViolations: true })
    case 5:
      return setBucketType(document, {
        name: 't',
        bytes: new Uint8Array([b]),
        n: 1 + (b % 6),
        nBefore: 1 + (a % 6),
      })
    case 6:
      return exited(document, node)
    case 7:
    case 8:
      return trouble === 'down' ? markDown(document, node) : restored(document, { node, at }, model)
    case 9:
      return markUp(document, node)
    case 10:
    case 11:
    case 12:
      model.write(document, (size) => (a * 31 + b) % size)
      return document
    default:
      return model.work(document, (size) => (a * 31 + b) % size)
  }
}

function restored(
  document: ClusterDocument,
  { node, at }: { node: string; at: number },
  model: PartitionModel,
): ClusterDocument {
  if (!mayBeRestored(document, node)) return document
  model.forget(node)
  return begun(document, node, { generation: `${at}`.padStart(24, '0'), known: [], isRestored: true })
}

test.each(['down', 'restored'] as const)(
  'no majority denies what a majority has confirmed, whatever moves while nodes are %s',
  (trouble) => {
    let records = 0
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 20, maxLength: 120 }),
        fc.integer({ min: 1, max: 5 }),
        (steps, count) => {
          const model = new PartitionModel(0)
          for (const document of documentsOf({ steps, count, trouble }, model))
            expect(model.denied(document)).toEqual([])
          records += model.records.length
        },
      ),
      { numRuns: 150, seed: 7 },
    )
    expect(records).toBeGreaterThan(500)
  },
)
