import { readFileSync, writeFileSync } from 'node:fs'
import { decodeWith, encodeTuple, fromHex, TupleReader, toHex } from '@atoll/core'
import type { MessageCodec } from '@atoll/transport'
import { describe, expect, it } from 'vitest'
import { decodeAcceptor, encodeAcceptor } from '../src/acceptor-codec.ts'
import {
  begun,
  type ClusterDocument,
  decodeDocument,
  encodeDocument,
  isForAllVersions,
  isRestored,
  markDown,
  setBucketType,
  stage,
} from '../src/index.ts'
import { acceptMethod, joinMethod, prepareMethod, tellMethod } from '../src/methods.ts'
import { clusterOf, commitAll, idOf, join, newMember } from './kit.ts'

/** A document with a bit of everything. */
function richDocument(): ClusterDocument {
  const bytes = new Uint8Array([1, 2])
  const grown = commitAll(clusterOf(['n1', 'n2', 'n3'], { partitions: 8 }), [
    join('n4', 'east'),
    { kind: 'force-remove', node: 'n3' },
  ])
  const raised = setBucketType(setBucketType(grown, { name: 't', bytes, n: 1 }), {
    name: 't',
    bytes: new Uint8Array([3]),
    n: 2,
    nBefore: 1,
  })
  const staged = [
    join('n5', 'west'),
    join('n6'),
    { kind: 'replace', node: 'n2', by: 'n5' } as const,
    { kind: 'force-replace', node: 'n1', by: 'n1', id: idOf('n1', 9), address: 'x:2' } as const,
    { kind: 'leave', node: 'n4' } as const,
    { kind: 'zone', node: 'n2', zone: 'east' } as const,
  ].reduce(stage, raised)
  const forced = [{ epoch: 1_000_001, by: 'n1', atMs: 1_700_000_000_000, missing: ['n9'], reason: 'fire' }]
  return { ...markDown(staged, 'n4'), forced, recent: ['aa', 'bb'] }
}

const DOCUMENT = richDocument()
const BASIS = { clusterId: 'c', epoch: 7, digest: new Uint8Array(20).fill(3) }
const BALLOT = { counter: 4, proposer: 'n1/abc' }
const VALUE = new Uint8Array([9, 8])

function golden(name: string, bytes: Uint8Array): Uint8Array {
  const file = new URL(`golden/${name}.hex`, import.meta.url)
  if (process.env['GOLDEN'] === 'write') writeFileSync(file, `${toHex(bytes)}\n`)
  return fromHex(readFileSync(file, 'utf8').trim())
}

describe('what is stored', () => {
  it('document', () => {
    expect(decodeDocument(golden('document-v1', encodeDocument(DOCUMENT)))).toEqual(DOCUMENT)
    expect(golden('document-v1', encodeDocument(DOCUMENT))).toEqual(encodeDocument(DOCUMENT))
  })

  it('document of a ring that has got more partitions', () => {
    const resized = { ...DOCUMENT, resizedAt: 4, resizing: { from: 8, waiting: ['n2', 'n1'] } }
    expect(decodeDocument(golden('document-v2', encodeDocument(resized)))).toEqual(resized)
    expect(golden('document-v2', encodeDocument(resized))).toEqual(encodeDocument(resized))
    const done = { ...resized, resizing: undefined, staged: [{ kind: 'resize', partitions: 32 } as const] }
    expect(decodeDocument(encodeDocument(done))).toEqual(done)
  })

  it('document of members that tell of the lives of their data', () => {
    const life = { generation: 'ab'.repeat(12), known: [], isRestored: true }
    const told = begun(begun(DOCUMENT, 'n2', life), 'n1', { ...life, generation: 'cd'.repeat(12) })
    const lived = { ...told, grownAt: told.replicas.map((_, partition) => partition % 3) }
    expect(lived.refills.filter(isRestored)).toHaveLength(2)
    expect(decodeDocument(golden('document-v3', encodeDocument(lived)))).toEqual(lived)
    expect(golden('document-v3', encodeDocument(lived))).toEqual(encodeDocument(lived))
    const short = encodeDocument({ ...lived, grownAt: [1] })
    expect(codeOf(() => decodeDocument(short))).toBe('ATOLL_CORRUPT')
    const badNode = encodeDocument({ ...lived, refills: [{ id: 'x', node: 'n77', waiting: [] }] })
    expect(codeOf(() => decodeDocument(badNode))).toBe('ATOLL_CORRUPT')
    const members = new Map(lived.members).set('n1', { ...lived.members.get('n1')!, generation: 'X' })
    expect(codeOf(() => decodeDocument(encodeDocument({ ...lived, members })))).toBe('ATOLL_CORRUPT')
  })

  it('document that says what came before it', () => {
    const life = { generation: 'ab'.repeat(12), known: [], isRestored: true }
    const history = { first: 7, digests: new Uint8Array(24).map((_, at) => at) }
    const told = { ...begun(DOCUMENT, 'n2', life), history }
    expect(decodeDocument(golden('document-v4', encodeDocument(told)))).toEqual(told)
    expect(golden('document-v4', encodeDocument(told))).toEqual(encodeDocument(told))
    expect(isForAllVersions({ ...DOCUMENT, history })).toBe(false)
    for (const length of [23, 8 * 257]) {
      const wrong = encodeDocument({ ...told, history: { first: 7, digests: new Uint8Array(length) } })
      expect(codeOf(() => decodeDocument(wrong))).toBe('ATOLL_CORRUPT')
    }
  })

  it('is written as every version reads it until a member tells of a life', () => {
    expect(isForAllVersions(DOCUMENT)).toBe(true)
    expect(encodeDocument({ ...DOCUMENT, grownAt: DOCUMENT.replicas.map(() => 3) })[0]).toBe(1)
    const life = { generation: 'ab'.repeat(12), known: [], isRestored: false }
    expect(isForAllVersions(begun(DOCUMENT, 'n2', life))).toBe(false)
    expect(encodeDocument(begun(DOCUMENT, 'n2', life))[0]).toBe(3)
  })

  it('acceptor', () => {
    const kept = {
      epoch: 7,
      digest: BASIS.digest,
      state: { promised: BALLOT, accepted: { ballot: BALLOT, value: VALUE } },
    }
    expect(golden('acceptor-v1', encodeAcceptor(kept))).toEqual(encodeAcceptor(kept))
    expect(decodeAcceptor(encodeAcceptor(kept))).toEqual(kept)
    const empty = { ...kept, state: { promised: undefined, accepted: undefined } }
    expect(decodeAcceptor(encodeAcceptor(empty))).toEqual(empty)
  })

  it('is the same for equal documents, in whatever order they were made', () => {
    const { members, bucketTypes } = DOCUMENT
    const other = {
      ...DOCUMENT,
      members: new Map([...members].reverse()),
      bucketTypes: new Map([...bucketTypes].reverse()),
    }
    expect(encodeDocument(other)).toEqual(encodeDocument(DOCUMENT))
  })

  it('is not believed if it is damaged', () => {
    const bytes = encodeDocument(DOCUMENT)
    for (let at = 1; at < bytes.length; at += 3) {
      const code = codeOf(() => decodeDocument(bytes.slice(0, at)))
      expect(code).toBe('ATOLL_CORRUPT')
    }
    expect(codeOf(() => decodeDocument(new Uint8Array([5, ...bytes.slice(1)])))).toBe('ATOLL_FORMAT')
    const stranger = { ...DOCUMENT, replicas: DOCUMENT.replicas.map(() => ['n77']) }
    expect(codeOf(() => decodeDocument(encodeDocument(stranger)))).toBe('ATOLL_CORRUPT')
  })
})

function codeOf(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error
  }
}

const MESSAGES: Record<string, [MessageCodec<unknown>, unknown]> = {
  'prepare-request': [prepareMethod.request, { basis: BASIS, ballot: BALLOT }],
  'prepare-request-as-forgetful': [
    prepareMethod.request,
    { basis: BASIS, ballot: BALLOT, asForgetful: true },
  ],
  'prepare-answer': [prepareMethod.response, { kind: 'promise', accepted: { ballot: BALLOT, value: VALUE } }],
  'prepare-answer-empty': [prepareMethod.response, { kind: 'promise', accepted: undefined }],
  'prepare-answer-conflict': [prepareMethod.response, { kind: 'conflict', promised: BALLOT }],
  'prepare-answer-document': [prepareMethod.response, { kind: 'document', bytes: VALUE }],
  'prepare-answer-behind': [prepareMethod.response, { kind: 'behind' }],
  'accept-request': [acceptMethod.request, { basis: BASIS, ballot: BALLOT, value: VALUE }],
  'accept-request-as-forgetful': [
    acceptMethod.request,
    { basis: BASIS, ballot: BALLOT, asForgetful: true, value: VALUE },
  ],
  'accept-answer': [acceptMethod.response, { kind: 'accepted' }],
  'tell-request': [tellMethod.request, { bytes: VALUE }],
  'tell-answer': [tellMethod.response, { epoch: 8 }],
  'join-request': [joinMethod.request, { change: { kind: 'join', ...newMember('n4', 'east') } }],
  'join-answer': [joinMethod.response, { bytes: VALUE }],
}

describe('what goes over the wire', () => {
  it.each(Object.entries(MESSAGES))('%s', (name, [codec, value]) => {
    const { tuple, body } = codec.encode(value)
    const written = encodeTuple(1, [tuple, body ?? null])
    expect(golden(`${name}-v1`, written)).toEqual(written)
    const read = decodeWith(
      {
        name,
        version: 1,
        encode: () => [],
        decode: (reader) => {
          const fields = reader.tuple()
          const value = codec.decode(fields, reader.optional((field) => field.bytes()) ?? new Uint8Array())
          fields.end()
          return value
        },
      },
      written,
    )
    expect(read).toEqual(value)
    expect(codeOf(() => codec.decode(new TupleReader(name, [2, ...tuple.slice(1)]), VALUE))).toBe(
      'ATOLL_PROTOCOL',
    )
  })
})
