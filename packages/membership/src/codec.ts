import {
  AtollError,
  decodeWith,
  encodeTuple,
  encodeWith,
  messageOf,
  type TupleCodec,
  type TupleReader,
  type TupleValue,
} from '@atoll/core'
import { decodeRing, encodeRing, type NodeName } from '@atoll/ring'
import { packChange, unpackChange } from './change-codec.ts'
import type {
  ClusterDocument,
  ForcedRecord,
  Member,
  MemberState,
  Move,
  RaisedRefill,
  Refill,
  Resizing,
  RestoredRefill,
} from './document.ts'
import { checkGeneration, isRestored } from './generations.ts'
import { DIGEST_BYTES, type History, MAX_HISTORY } from './history.ts'

const STATES: readonly MemberState[] = ['joining', 'valid', 'leaving', 'exiting', 'down']

/**
 * Nodes are written as positions in one sorted list of names, and maps in the order of their keys, so that equal
 * documents have equal bytes.
 */
function packFields(document: ClusterDocument): readonly TupleValue[] {
  const names = new Names(namesOf(document))
  return [
    document.clusterId,
    document.epoch,
    document.n,
    names.all,
    sorted(document.members.values(), ({ node }) => node).map((member) => packMember(member)),
    encodeRing(document.ring),
    document.width,
    document.replicas.map((holders) => holders.map((node) => names.numberOf(node))),
    document.moves.map((move) => packMove(move, names)),
    document.refills.filter(isRaised).map((refill) => packRefill(refill, names)),
    document.staged.map(packChange),
    sorted(document.bucketTypes, ([name]) => name),
    document.forced.map(({ epoch, by, atMs, missing, reason }) => [epoch, by, atMs, missing, reason]),
    document.recent,
  ]
}

type Later = 'resizedAt' | 'resizing' | 'grownAt' | 'history'

function unpackFields(reader: TupleReader): Omit<ClusterDocument, Later> {
  const clusterId = reader.string()
  const epoch = reader.uint()
  const n = reader.uint()
  const names = new Names(reader.list((item) => item.string()))
  return {
    clusterId,
    epoch,
    n,
    members: keyed(
      reader.list((item) => unpackMember(item.tuple())),
      ({ node }) => node,
    ),
    ring: decodeRing(reader.bytes()),
    width: reader.uint(),
    replicas: reader.list((item) => item.list((holder) => names.at(holder.uint()))),
    moves: reader.list((item) => unpackMove(item.tuple(), names)),
    refills: reader.list((item) => unpackRefill(item.tuple(), names)),
    staged: reader.list((item) => unpackChange(item.tuple())),
    bucketTypes: new Map(reader.list((item) => unpackType(item.tuple()))),
    forced: reader.list((item) => unpackForced(item.tuple())),
    recent: reader.list((item) => item.string()),
  }
}

/** Of a ring that has as many partitions as ever: earlier versions of the program read it, too. */
const firstCodec: TupleCodec<ClusterDocument> = {
  name: 'cluster document',
  version: 1,
  encode: packFields,
  decode: (reader) => ({
    ...unpackFields(reader),
    grownAt: [],
    resizedAt: 0,
    resizing: undefined,
    history: undefined,
  }),
}

/** Of one that got more: earlier versions of the program read it that know of that. */
const secondCodec: TupleCodec<ClusterDocument> = {
  name: 'cluster document',
  version: 2,
  encode: (document) => [...packFields(document), ...packResizing(document)],
  decode: (reader) => ({
    ...unpackFields(reader),
    ...unpackResized(reader),
    grownAt: [],
    history: undefined,
  }),
}

/** Whose members tell of the lives of their data. */
const thirdCodec: TupleCodec<ClusterDocument> = {
  name: 'cluster document',
  version: 3,
  encode: packLives,
  decode: (reader) => ({ ...unpackLives(reader), history: undefined }),
}

/** That says what came before it. */
const documentCodec: TupleCodec<ClusterDocument> = {
  name: 'cluster document',
  version: 4,
  encode: (document) => {
    const { first, digests } = document.history ?? { first: document.epoch, digests: new Uint8Array(0) }
    return [...packLives(document), first, digests]
  },
  decode: (reader) => ({ ...unpackLives(reader), history: unpackHistory(reader) }),
}

function packLives(document: ClusterDocument): readonly TupleValue[] {
  return [
    ...packFields(document),
    ...packResizing(document),
    sorted(document.members.values(), ({ node }) => node).flatMap(({ node, generation }) =>
      generation === undefined ? [] : [[node, generation]],
    ),
    document.refills.filter(isRestored).map(({ id, node, waiting }) => [id, node, ...waiting]),
    document.grownAt,
  ]
}

function unpackLives(reader: TupleReader): Omit<ClusterDocument, 'history'> {
  const fields = { ...unpackFields(reader), ...unpackResized(reader) }
  const generations = new Map(reader.list((item) => unpackGeneration(item.tuple())))
  const members = new Map(
    [...fields.members].map(([node, member]) => {
      const generation = generations.get(node)
      return [node, generation === undefined ? member : { ...member, generation }] as const
    }),
  )
  const restored = reader.list((item) => unpackRestored(item.tuple()))
  const grownAt = reader.list((item) => item.uint())
  return { ...fields, members, refills: [...fields.refills, ...restored], grownAt }
}

function unpackHistory(reader: TupleReader): History {
  const first = reader.uint()
  // Copied: what is read is a view of all the bytes, and this is kept.
  const digests = reader.bytes().slice()
  if (digests.length % DIGEST_BYTES === 0 && digests.length / DIGEST_BYTES <= MAX_HISTORY)
    return { first, digests }
  throw corrupt(`a history of ${digests.length} bytes`)
}

function packResizing({ resizedAt, resizing }: ClusterDocument): readonly TupleValue[] {
  return [resizedAt, resizing === undefined ? null : [resizing.from, ...resizing.waiting]]
}

function unpackResized(reader: TupleReader): Pick<ClusterDocument, 'resizedAt' | 'resizing'> {
  return {
    resizedAt: reader.uint(),
    resizing: reader.optional((field) => unpackResizing(field.tuple())),
  }
}

function unpackGeneration(reader: TupleReader): readonly [NodeName, string] {
  const [node, generation] = [reader.string(), reader.string()]
  reader.end()
  return [node, believedGeneration(generation)]
}

function believedGeneration(generation: string): string {
  try {
    return checkGeneration(generation)
  } catch (error) {
    throw corrupt(messageOf(error))
  }
}

function unpackRestored(reader: TupleReader): RestoredRefill {
  const [id, node] = [reader.string(), reader.string()]
  const waiting: NodeName[] = []
  while (reader.remaining > 0) waiting.push(reader.string())
  return { id, node, waiting }
}

function isRaised(refill: Refill): refill is RaisedRefill {
  return !isRestored(refill)
}

function unpackResizing(reader: TupleReader): Resizing {
  const from = reader.uint()
  const waiting: NodeName[] = []
  while (reader.remaining > 0) waiting.push(reader.string())
  return { from, waiting }
}

/** By the version that they write: the least one is taken that has a place for everything. */
const CODECS = [firstCodec, secondCodec, thirdCodec, documentCodec]

export function encodeDocument(document: ClusterDocument): Uint8Array {
  if (document.history !== undefined) return encodeWith(documentCodec, document)
  if (!isForAllVersions(document)) return encodeWith(thirdCodec, document)
  return encodeWith(document.resizedAt === 0 ? firstCodec : secondCodec, document)
}

/**
 * Whether versions of the program read the document that know nothing of generations. It stays so until the first member
 * tells of one, and is never so again: no member must do that while such a version may be a member as well.
 */
export function isForAllVersions({ members, refills, history }: ClusterDocument): boolean {
  return (
    history === undefined &&
    !refills.some(isRestored) &&
    [...members.values()].every(({ generation }) => generation === undefined)
  )
}

/** Throws `ATOLL_CORRUPT` for bytes that are no document, and `ATOLL_FORMAT` for those of a newer version. */
export function decodeDocument(bytes: Uint8Array): ClusterDocument {
  const codec = CODECS.find(({ version }) => version === bytes[0]) ?? documentCodec
  const document = decodeWith(codec, bytes)
  const { ring, replicas, moves, members, refills, grownAt } = document
  if (replicas.length !== ring.partitions)
    throw corrupt(`it has ${replicas.length} lists, not ${ring.partitions}`)
  if (grownAt.length !== 0 && grownAt.length !== ring.partitions)
    throw corrupt(`it says of ${grownAt.length} lists when they grew, not of ${ring.partitions}`)
  const named = [
    ...ring.owners,
    ...replicas.flat(),
    ...moves.flatMap(namesIn),
    ...refills.filter(isRestored).flatMap(({ node, waiting }) => [node, ...waiting]),
  ]
  const stranger = named.find((node) => !members.has(node))
  if (stranger !== undefined) throw corrupt(`${stranger} is no member`)
  return document
}

/** All that a plan depends on: neither bucket types nor refills, nor where a member listens or who has to copy still. */
export function encodeBasis(document: ClusterDocument): Uint8Array {
  const { n, width, members, ring, replicas, moves, staged } = document
  return encodeTuple(1, [
    n,
    width,
    sorted(members.values(), ({ node }) => node).map((member) => packMember({ ...member, address: '' })),
    encodeRing(ring),
    replicas,
    moves.map((move) => [move.partition, move.kind, 'from' in move ? move.from : null, move.to]),
    staged.map(packChange),
  ])
}

/** Names by number. */
class Names {
  readonly all: readonly NodeName[]
  readonly #numbers: ReadonlyMap<NodeName, number>

  constructor(all: readonly NodeName[]) {
    this.all = all
    this.#numbers = new Map(all.map((name, number) => [name, number]))
  }

  numberOf(name: NodeName): number {
    return this.#numbers.get(name) ?? 0
  }

  at(number: number): NodeName {
    const name = this.all[number]
    if (name === undefined) throw corrupt(`there is no name ${number}`)
    return name
  }
}

function namesOf({ replicas, moves, refills }: ClusterDocument): readonly NodeName[] {
  const waiting = refills.filter(isRaised).flatMap((refill) => refill.waiting)
  return [...new Set([...replicas.flat(), ...moves.flatMap(namesIn), ...waiting])].sort()
}

function namesIn(move: Move): readonly NodeName[] {
  return move.kind === 'add' ? [move.to, ...move.waiting] : [move.from, move.to]
}

function packMember({ node, id, address, zone, state, upState }: Member): readonly TupleValue[] {
  return [
    node,
    id,
    address,
    zone ?? null,
    STATES.indexOf(state),
    upState === undefined ? null : STATES.indexOf(upState),
  ]
}

function unpackMember(reader: TupleReader): Member {
  const node = reader.string()
  const id = reader.string()
  const address = reader.string()
  const zone = reader.optional((field) => field.string())
  const state = unpackState(reader.uint())
  const upState = reader.optional((field) => unpackState(field.uint()))
  reader.end()
  const member = { node, id, address, zone, state }
  if (upState === undefined) return member
  if (upState === 'valid' || upState === 'leaving') return { ...member, upState }
  throw corrupt(`nothing is ${upState} when it is back`)
}

function unpackState(number: number): MemberState {
  const state = STATES[number]
  if (state === undefined) throw corrupt(`there is no state ${number}`)
  return state
}

const MOVE_KINDS = ['replace', 'add', 'drop'] as const

function packMove(move: Move, names: Names): readonly TupleValue[] {
  const head = [move.partition, MOVE_KINDS.indexOf(move.kind), names.numberOf(move.to)]
  const from = move.kind === 'add' ? move.waiting : [move.from]
  return [...head, ...from.map((node) => names.numberOf(node))]
}

function unpackMove(reader: TupleReader, names: Names): Move {
  const partition = reader.uint()
  const number = reader.uint()
  const kind = MOVE_KINDS[number]
  if (kind === undefined) throw corrupt(`there is no move of kind ${number}`)
  const to = names.at(reader.uint())
  if (kind === 'add') {
    const waiting: NodeName[] = []
    while (reader.remaining > 0) waiting.push(names.at(reader.uint()))
    return { partition, kind, to, waiting }
  }
  const move = { partition, kind, from: names.at(reader.uint()), to }
  reader.end()
  return move
}

function packRefill({ id, type, from, to, waiting }: RaisedRefill, names: Names): readonly TupleValue[] {
  return [id, type, from, to, waiting.map((node) => names.numberOf(node))]
}

function unpackRefill(reader: TupleReader, names: Names): RaisedRefill {
  const refill = {
    id: reader.string(),
    type: reader.string(),
    from: reader.uint(),
    to: reader.uint(),
    waiting: reader.list((item) => names.at(item.uint())),
  }
  reader.end()
  return refill
}

function unpackType(reader: TupleReader): readonly [string, Uint8Array] {
  // Copied: what is read is a view of all the bytes, and this is kept.
  const pair = [reader.string(), reader.bytes().slice()] as const
  reader.end()
  return pair
}

function unpackForced(reader: TupleReader): ForcedRecord {
  const record = {
    epoch: reader.uint(),
    by: reader.string(),
    atMs: reader.number(),
    missing: reader.list((item) => item.string()),
    reason: reader.string(),
  }
  reader.end()
  return record
}

/** In the order of UTF-16 code units, which all nodes agree on. */
function sorted<T>(items: Iterable<T>, keyOf: (item: T) => string): T[] {
  return [...items].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
}

function keyed<T>(items: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, T> {
  return new Map(items.map((item) => [keyOf(item), item]))
}

function corrupt(why: string): AtollError {
  return new AtollError('ATOLL_CORRUPT', `a message about a cluster cannot be read: ${why}`)
}
