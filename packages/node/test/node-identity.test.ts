import { AtollError } from '@atoll/core'
import { type ClusterDocument, firstDocument } from '@atoll/membership'
import type { Identity, Peer } from '@atoll/transport'
import { describe, expect, test } from 'vitest'
import { AddressBook } from '../src/address-book.ts'
import { NodeIdentity } from '../src/node-identity.ts'

const NAMES = ['n1', 'n2', 'n3']
const EPOCH = 5

/** Of the data of a node. */
function idOf(node: string): string {
  return `da7a0000000000${node.replace('n', '0')}`
}

function documentOf(clusterId: string, names: readonly string[] = NAMES): ClusterDocument {
  const members = names.map((node) => ({ node, id: idOf(node), address: `${node}:7400` }))
  return { ...firstDocument({ clusterId, partitions: 8, members }), epoch: EPOCH }
}

interface Case {
  readonly what: string
  /** What the peer says, where it is not what n2 of this cluster says. */
  readonly says?: Partial<Identity>
  readonly node?: string
  readonly side?: Peer['side']
  readonly verdict: string
  readonly asksNewer?: boolean
}

const N2: Identity = { clusterId: 'reef', memberId: idOf('n2'), generation: 'g1', epoch: EPOCH }

const CASES: readonly Case[] = [
  { what: 'a member, as a caller', verdict: 'member' },
  { what: 'a member that is called', side: 'callee', verdict: 'member' },
  { what: 'a member with an older document', says: { epoch: 1 }, verdict: 'member' },
  {
    what: 'a node that the document does not know yet',
    node: 'n9',
    says: { memberId: 'x' },
    verdict: 'member',
  },
  { what: 'a member of another cluster', says: { clusterId: 'atoll' }, verdict: 'ATOLL_FORMAT' },
  { what: 'another cluster, called', says: { clusterId: 'atoll' }, side: 'callee', verdict: 'ATOLL_FORMAT' },
  {
    what: 'a stranger of another cluster',
    node: 'n9',
    says: { clusterId: 'atoll' },
    verdict: 'ATOLL_FORMAT',
  },
  { what: 'the name with other data', says: { memberId: 'new' }, verdict: 'ATOLL_FORMAT' },
  {
    what: 'the name with other data, called',
    says: { memberId: 'new' },
    side: 'callee',
    verdict: 'ATOLL_FORMAT',
  },
  {
    what: 'other data by a newer document: it may ask nothing until that is known',
    says: { memberId: 'new', epoch: EPOCH + 1 },
    verdict: 'stranger',
    asksNewer: true,
  },
  {
    what: 'other data by a newer document, called: that is fetched first',
    says: { memberId: 'new', epoch: EPOCH + 1 },
    side: 'callee',
    verdict: 'ATOLL_UNREACHABLE',
    asksNewer: true,
  },
  {
    what: 'a node that joins',
    node: 'n9',
    says: { clusterId: undefined, memberId: 'x', epoch: 0 },
    verdict: 'stranger',
  },
  {
    what: 'a member that has not learned of it',
    says: { clusterId: undefined, epoch: 0 },
    verdict: 'stranger',
  },
  { what: 'the same, called', says: { clusterId: undefined, epoch: 0 }, side: 'callee', verdict: 'member' },
  {
    what: 'new data that wants to join under the name',
    says: { clusterId: undefined, memberId: 'new', epoch: 0 },
    verdict: 'ATOLL_FORMAT',
  },
  {
    what: 'the name, looking for a cluster',
    says: { clusterId: undefined, memberId: undefined, epoch: 0 },
    verdict: 'stranger',
  },
  {
    what: 'the name, looking for a cluster, called as a member',
    says: { clusterId: undefined, memberId: undefined, epoch: 0 },
    side: 'callee',
    verdict: 'ATOLL_FORMAT',
  },
]

function identityOf(memberId: string, document = documentOf('reef')) {
  const asked: string[] = []
  const identity = new NodeIdentity({
    node: 'n1',
    memberId,
    generation: () => 'g7',
    document: () => document,
    onNewer: (node) => void asked.push(node),
  })
  return { identity, asked }
}

function verdictOf(verdict: string | AtollError): string {
  return verdict instanceof AtollError ? verdict.code : verdict
}

describe('to a member, a peer is what the document says', () => {
  test.each(CASES)(
    '$what: $verdict',
    ({ says = {}, node = 'n2', side = 'caller', verdict, asksNewer = false }) => {
      const { identity, asked } = identityOf(idOf('n1'))
      const judged = identity.judge({ node, side, identity: { ...N2, ...says } })
      expect(verdictOf(judged)).toBe(verdict)
      expect(asked).toEqual(asksNewer ? [node] : [])
    },
  )
})

test('of two clusters that were begun at one time the ids are told, and what to do', () => {
  const { identity } = identityOf(idOf('n1'))
  const other = { clusterId: 'atoll', memberId: 'x', generation: 'g1', epoch: 1 }
  expect(identity.judge({ node: 'n2', side: 'caller', identity: other })).toMatchObject({
    code: 'ATOLL_FORMAT',
    message: expect.stringMatching(
      /^n2 belongs to cluster atoll, and n1 to cluster reef:.*both were told to begin.*keep the cluster that holds your data; .* empty directory, with seeds and without begin$/,
    ),
  })
})

test('new data under a known name is told its id, for whoever stages it', () => {
  const { identity } = identityOf(idOf('n1'))
  const memberId = 'a1b2'
  const says = { clusterId: undefined, memberId, generation: undefined, epoch: 0 }
  expect(identity.judge({ node: 'n2', side: 'caller', identity: says })).toMatchObject({
    code: 'ATOLL_FORMAT',
    message: expect.stringContaining(`id: '${memberId}' }`),
    details: { reason: 'identity', what: 'member', node: 'n2', id: memberId },
  })
})

describe('a node that is no member yet', () => {
  test('says that it is of no cluster, and serves nobody', () => {
    const { identity } = identityOf('not in the document')
    expect(identity.own()).toEqual({
      clusterId: undefined,
      memberId: 'not in the document',
      generation: undefined,
      epoch: 0,
    })
    expect(identity.judge({ node: 'n2', side: 'caller', identity: N2 })).toBe('stranger')
  })

  test('says all that it is once it is one', () => {
    const { identity } = identityOf(idOf('n1'))
    expect(identity.own()).toEqual({
      clusterId: 'reef',
      memberId: idOf('n1'),
      generation: 'g7',
      epoch: EPOCH,
    })
  })
})

describe('where a member listens', () => {
  test('is what it said itself, until nobody answers there or the document says something new', () => {
    const document = documentOf('reef')
    const book = new AddressBook(document)
    expect([book.addressOf('n2'), book.addressOf('n9')]).toEqual(['n2:7400', undefined])
    book.note('n2', 'elsewhere:1')
    book.note('n9', 'nowhere:1')
    expect([book.addressOf('n2'), book.addressOf('n9')]).toEqual(['elsewhere:1', undefined])
    book.follow({ ...document, epoch: EPOCH + 1 })
    expect(book.addressOf('n2')).toBe('elsewhere:1')
    book.forget('n2')
    expect(book.addressOf('n2')).toBe('n2:7400')
    book.note('n2', 'elsewhere:1')
    const members = new Map(document.members)
    const n2 = members.get('n2')
    if (n2 !== undefined) members.set('n2', { ...n2, address: 'new:1' })
    book.follow({ ...document, epoch: EPOCH + 2, members })
    expect(book.addressOf('n2')).toBe('new:1')
  })
})
