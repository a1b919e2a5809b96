import { createWorld } from '@atoll/sim'
import { expect, test } from 'vitest'
import {
  type ClusterDocument,
  encodeDocument,
  firstDocument,
  type MembershipStorage,
  setBucketType,
  withHistory,
} from '../src/index.ts'
import { Ledger, type LedgerParts } from '../src/ledger.ts'

const ballot = (counter: number, proposer = 'n1') => ({ counter, proposer })

function storageOf(values: Map<string, Uint8Array>): MembershipStorage {
  return { get: async (key) => values.get(key), put: async (key, value) => void values.set(key, value) }
}

function partsOf(values: Map<string, Uint8Array>): LedgerParts {
  const nothing = () => {}
  const parts = { storage: storageOf(values), node: 'n1', maxQueued: 10 }
  return { ...parts, remembers: () => true, onChanged: nothing, onForked: nothing }
}

/** A ledger of n1 in a cluster of three, and what is on its disk. */
async function ledgerOf(values = new Map<string, Uint8Array>()) {
  const ledger = new Ledger(createWorld({ seed: 1 }).runtime('n1'), partsOf(values))
  await ledger.load()
  if (ledger.known === undefined) {
    const members = ['n1', 'n2', 'n3'].map((node, at) => ({
      node,
      id: at === 0 ? ledger.id : `${at}`.repeat(16),
      address: node,
    }))
    await ledger.learn(encodeDocument(firstDocument({ clusterId: 'c', members, partitions: 8 })))
  }
  const { document, basis } = ledger.known ?? {}
  if (document === undefined || basis === undefined) throw new Error('a ledger has a document by now')
  const value = encodeDocument(setBucketType(document, { name: 't', bytes: new Uint8Array(1), n: 3 }))
  return { ledger, values, document, basis, value }
}

test('what was promised and accepted outlives a restart', async () => {
  const { ledger, values, basis, value } = await ledgerOf()
  expect(await ledger.prepare({ basis, ballot: ballot(2) })).toEqual({ kind: 'promise', accepted: undefined })
  expect(await ledger.accept({ basis, ballot: ballot(2), value })).toEqual({ kind: 'accepted' })
  const { ledger: again } = await ledgerOf(values)
  expect(again.id).toBe(ledger.id)
  expect(await again.prepare({ basis, ballot: ballot(1) })).toEqual({ kind: 'conflict', promised: ballot(2) })
  expect(await again.prepare({ basis, ballot: ballot(3) })).toEqual({
    kind: 'promise',
    accepted: { ballot: ballot(2), value },
  })
})

test('it does not count any more once the epoch is decided: the document is the answer', async () => {
  const { ledger, basis, value } = await ledgerOf()
  await ledger.accept({ basis, ballot: ballot(2), value })
  expect(await ledger.learn(value)).toBe(true)
  expect(await ledger.learn(value)).toBe(false)
  expect(await ledger.prepare({ basis, ballot: ballot(9) })).toEqual({ kind: 'document', bytes: value })
  const next = ledger.known?.basis ?? basis
  expect(await ledger.prepare({ basis: next, ballot: ballot(1) })).toEqual({
    kind: 'promise',
    accepted: undefined,
  })
})

test('a question about a later document is answered by asking for it, one about another of the epoch with the own one', async () => {
  const { ledger, basis } = await ledgerOf()
  expect(await ledger.prepare({ basis: { ...basis, epoch: 5 }, ballot: ballot(1) })).toEqual({
    kind: 'behind',
  })
  const other = { ...basis, digest: new Uint8Array(20) }
  expect(await ledger.prepare({ basis: other, ballot: ballot(1) })).toMatchObject({ kind: 'document' })
  const foreign = ledger.prepare({ basis: { ...basis, clusterId: 'x' }, ballot: ballot(1) })
  await expect(foreign).rejects.toMatchObject({ code: 'ATOLL_PROTOCOL' })
})

test('nothing is accepted that could not be the next document', async () => {
  const { ledger, basis, document } = await ledgerOf()
  const skip = encodeDocument({ ...document, epoch: 3 })
  await expect(ledger.accept({ basis, ballot: ballot(1), value: skip })).rejects.toMatchObject({
    code: 'ATOLL_PROTOCOL',
  })
  const rubbish = ledger.accept({ basis, ballot: ballot(1), value: new Uint8Array([1]) })
  await expect(rubbish).rejects.toMatchObject({ code: 'ATOLL_CORRUPT' })
})

/** A ledger of n1, and what to ask it about the document in which n1 is in this state. */
async function ledgerIn(state: 'joining' | 'exiting' | 'down') {
  const { ledger, document } = await ledgerOf()
  const member = document.members.get('n1')
  if (member === undefined) throw new Error('n1 is a member')
  const members = new Map(document.members).set('n1', { ...member, state })
  await ledger.learn(encodeDocument({ ...document, epoch: 2, members }))
  const { basis } = ledger.known ?? {}
  if (basis === undefined) throw new Error('it has one')
  return { ledger, basis }
}

test('a node that is marked down gives its vote, for whoever counts it for what it is', async () => {
  const { ledger, basis } = await ledgerIn('down')
  expect(await ledger.prepare({ basis, ballot: ballot(1) })).toMatchObject({ kind: 'promise' })
})

test('a node without a vote, or without a document, gives none', async () => {
  for (const state of ['joining', 'exiting'] as const) {
    const { ledger, basis } = await ledgerIn(state)
    await expect(ledger.prepare({ basis, ballot: ballot(1) })).rejects.toMatchObject({
      code: 'ATOLL_CHANGE_REFUSED',
    })
  }
  const { basis } = await ledgerOf()
  const empty = new Ledger(createWorld({ seed: 1 }).runtime('n1'), partsOf(new Map()))
  await empty.load()
  await expect(empty.prepare({ basis, ballot: ballot(1) })).rejects.toMatchObject({
    code: 'ATOLL_CHANGE_REFUSED',
  })
})

test('a document counts only once it is stored', async () => {
  const { ledger, values, value } = await ledgerOf()
  const fails = { ...storageOf(values), put: () => Promise.reject(new Error('disk')) }
  const broken = new Ledger(createWorld({ seed: 1 }).runtime('n1'), {
    ...partsOf(values),
    storage: fails,
  })
  await broken.load()
  await expect(broken.learn(value)).rejects.toThrow('disk')
  expect(broken.known?.document.epoch).toBe(1)
  expect(ledger.known?.document.epoch).toBe(1)
})

test('a history that one node alone has made stops nobody else', async () => {
  const { ledger, document } = await ledgerOf()
  const member = document.members.get('n2')
  if (member === undefined) throw new Error('n2 is a member')
  const kept = { ...withHistory(document), epoch: 2 }
  await ledger.learn(encodeDocument(kept))
  const alone = firstDocument({ clusterId: 'c', members: [member], partitions: 8 })
  for (const epoch of [2, 7]) {
    const history = { first: 2, digests: new Uint8Array(8 * (epoch - 2)) }
    const other = encodeDocument({ ...alone, epoch, history })
    await expect(ledger.learn(other)).rejects.toMatchObject({ code: 'ATOLL_FORKED' })
  }
  expect(ledger.fork).toBeUndefined()
  expect(ledger.known?.document.epoch).toBe(2)
})

test('more questions than may wait are refused as overload', async () => {
  const { ledger, basis } = await ledgerOf()
  const asked = Array.from({ length: 11 }, (_, at) => ledger.prepare({ basis, ballot: ballot(at + 1) }))
  await expect(asked[10]).rejects.toMatchObject({ code: 'ATOLL_OVERLOADED' })
  await expect(asked[9]).resolves.toMatchObject({ kind: 'promise' })
})

test('a node that may have lost its votes gives none as if it knew them, and says why', async () => {
  const { values, basis, value } = await ledgerOf()
  const ledger = new Ledger(createWorld({ seed: 1 }).runtime('n1'), {
    ...partsOf(values),
    remembers: () => false,
  })
  await ledger.load()
  for (const asked of [
    ledger.prepare({ basis, ballot: ballot(1) }),
    ledger.accept({ basis, ballot: ballot(1), value, asForgetful: false }),
  ])
    await expect(asked).rejects.toMatchObject({
      code: 'ATOLL_CHANGE_REFUSED',
      details: { reason: 'votes-forgotten' },
    })
  expect(values.has('acceptor')).toBe(false)
  expect(await ledger.prepare({ basis, ballot: ballot(2), asForgetful: true })).toMatchObject({
    kind: 'promise',
  })
  expect(await ledger.accept({ basis, ballot: ballot(2), value, asForgetful: true })).toEqual({
    kind: 'accepted',
  })
  // What it does not have it is told, whether it remembers or not.
  expect(await ledger.prepare({ basis: { ...basis, epoch: 9 }, ballot: ballot(1) })).toEqual({
    kind: 'behind',
  })
})

test('a document of another history is refused, told of once, and nothing is voted for until one is forced', async () => {
  const first = await ledgerOf()
  const kept = withHistory(first.document)
  const known = (document: ClusterDocument) => encodeDocument({ ...document, epoch: document.epoch + 1 })
  const forks: number[] = []
  const ledger = new Ledger(createWorld({ seed: 1 }).runtime('n1'), {
    ...partsOf(first.values),
    onForked: ({ error }) => forks.push(Number(error.details['epoch'])),
  })
  await ledger.load()
  await ledger.learn(known(setBucketType(kept, { name: 'one', bytes: new Uint8Array(1), n: 3 })))
  const other = known(setBucketType(kept, { name: 'other', bytes: new Uint8Array(1), n: 3 }))
  for (const _ of [1, 2])
    await expect(ledger.learn(other)).rejects.toMatchObject({
      code: 'ATOLL_FORKED',
      definite: true,
      transient: false,
      details: { clusterId: 'c', epoch: 3 },
      message: expect.stringContaining('that has it: cluster.force([], { missing, reason }), with'),
    })
  expect(forks).toEqual([3])
  const { document, basis } = ledger.known ?? {}
  if (document === undefined || basis === undefined) throw new Error('it has one')
  await expect(ledger.prepare({ basis, ballot: ballot(1) })).rejects.toMatchObject({ code: 'ATOLL_FORKED' })
  const record = { epoch: 1_000_001, by: 'n1', atMs: 1, missing: [], reason: 'this one' }
  await ledger.learn(encodeDocument({ ...document, epoch: 1_000_001, forced: [record] }))
  expect(ledger.fork).toBeUndefined()
  expect(await ledger.learn(other)).toBe(false)
})
