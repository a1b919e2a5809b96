import type { KvRead } from '@atoll/coordinator'
import { AtollError, fromUtf8, isAtollError, messageOf } from '@atoll/core'
import type { ClusterDocument } from '@atoll/membership'
import type { AtollNode, Cluster } from '@atoll/node'
import {
  type DiskCopy,
  describeOperation,
  type Intent,
  type Operation,
  OperationHistory,
  type Violation,
  type World,
} from '@atoll/sim'
import { Bodies } from './bodies.ts'
import type { Builds } from './builds.ts'
import type { ChangeKind } from './change-plan.ts'
import type { OwnBucket } from './check-buckets.ts'
import { type Confirmed, isFirm, neededOf } from './confirmations.ts'
import { Doors } from './doors.ts'
import { BUCKET, placed } from './names.ts'
import type { HouseOptions } from './options.ts'
import type { Watch } from './watch.ts'

/** Siblings are kept: the value is a set of elements, and a set is the union of its siblings. */
export const SETS_TYPE = 'sets'
/** What half of the buckets that clients make have their objects in: `own.manifests` and `own.blocks`. */
export const OWN_TYPE = 'own'
/** The last write wins. */
export const REGISTERS_TYPE = 'registers'

/** A cluster, and who watches over it. */
export interface House {
  readonly cluster: Cluster
  readonly watch: Watch
  readonly builds: Builds
  /** Begins another cluster, of one node of the given name, where that node listens; on an empty disk. */
  readonly impostor: (name: string) => Promise<Cluster>
  /** Starts a copy of the disk of a node under its name, at another address. */
  readonly twin: (
    name: string,
    of: { readonly copy: DiskCopy; readonly seeds: readonly string[] },
  ) => Promise<AtollNode>
}

/** One run: the house, and what everybody did in it. */
export interface Scene {
  readonly world: World
  readonly cluster: Cluster
  readonly options: HouseOptions
  /** What the objects of the bucket have as their bucket. */
  readonly place: Uint8Array
  readonly bodies: Bodies
  /** A value is the name of a body. */
  readonly objects: OperationHistory
  /** An `add` adds an element; the value of a `get` is the elements that it found. */
  readonly sets: OperationHistory
  readonly registers: OperationHistory
  /** Of acknowledged writes: which primaries had them by then. */
  readonly confirmed: Map<Operation, Confirmed>
  /** What clients were told of buckets of their own that cannot be, unless reads may miss writes. */
  readonly bucketWords: Violation[]
  /** Of clients: each has its name from one client, and nobody else touches it. */
  readonly ownBuckets: OwnBucket[]
  /** Deletions that said that there was nothing, as reads. */
  readonly denials: Operation[]
  /** Operations that failed with the word that data is damaged or lost. */
  readonly saidCorrupt: Operation[]
  /** Operations that failed with the word that the bucket which nobody ever deletes is not there. */
  readonly saidNoBucket: Operation[]
  /** What registers have acknowledged, and what was read of them. */
  readonly stamps: Stamp[]
  /** What no client may ever see, and did. */
  readonly complaints: string[]
  readonly doors: Doors
  /** Nodes that nobody starts, since the operator says so. */
  readonly grounded: Set<string>
  /** Nodes that lost their power before they were there: one that is just being added goes on on a disk that is gone. */
  readonly struck: Set<string>
  /** Why nodes did not start the last time, as far as they did not. */
  readonly refusals: Map<string, AtollError>
  /** What the changes of the cluster may cost. */
  readonly allowance: Allowance
  readonly watch: Watch
  readonly builds: Builds
  readonly impostor: House['impostor']
  readonly twin: House['twin']
}

export interface Allowance {
  /** Of partitions, by the plans that were committed. */
  copies: number
  /** By how many nodes all lists were made longer. */
  widenings: number
}

/** An operation of a register that was acknowledged. */
export interface Stamp {
  readonly operation: Operation
  /** The logical time of the record, as it was written or read; 0 for none. */
  readonly timestampMs: number
}

export function newScene(
  world: World,
  house: House,
  { options, place }: Pick<Scene, 'options' | 'place'>,
): Scene {
  const history = () => new OperationHistory(() => world.nowMs)
  return {
    ...house,
    world,
    options,
    place,
    bodies: new Bodies(),
    objects: history(),
    sets: history(),
    registers: history(),
    confirmed: new Map(),
    bucketWords: [],
    ownBuckets: [],
    denials: [],
    saidCorrupt: [],
    saidNoBucket: [],
    stamps: [],
    complaints: [],
    doors: new Doors(),
    grounded: new Set(),
    struck: new Set(),
    refusals: new Map(),
    allowance: { copies: 0, widenings: 0 },
  }
}

export const objectKeys = ({ keys }: HouseOptions) => numbered('o', keys)
export const setKeys = (options: HouseOptions) => withPlaces(numbered('s', options.keys), options)
export const registerKeys = (options: HouseOptions) => withPlaces(numbered('r', options.keys), options)

/** Every other key has a place, one and the same; a node of the build before could not take it. */
function withPlaces(names: readonly string[], { places, changes }: HouseOptions): readonly string[] {
  if (!places || changes.upgrade !== undefined) return names
  return names.map((name, at) => (at % 2 === 0 ? placed(name, 'shore') : name))
}

function numbered(letter: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, at) => `${letter}${at + 1}`)
}

/** Of the documents that running nodes have. */
export function newestDocument({ nodes }: Pick<Cluster, 'nodes'>): ClusterDocument {
  const documents = nodes.map(({ cluster }) => cluster.document)
  const [first] = documents
  if (first === undefined) throw new AtollError('ATOLL_UNREACHABLE', 'no node runs')
  return documents.reduce((best, document) => (document.epoch > best.epoch ? document : best), first)
}

interface Step {
  readonly intent: Intent
  readonly mayFail?: boolean
}

interface Look extends Step {
  readonly run: () => Promise<unknown>
}

/** What is answered tells on how many primaries the write is: whoever puts is told of that by every layer. */
interface Write extends Step {
  readonly write: () => Promise<{ readonly primaries: number }>
  /** Through which node, and of which type the record is. */
  readonly through: AtollNode
  readonly type: string
}

/** Runs an operation, keeps it in the history and tells the timeline. */
export async function record(
  scene: Scene,
  history: OperationHistory,
  step: Look | Write,
): Promise<Operation> {
  const { world, options, complaints } = scene
  let failure: unknown
  let confirmed: Confirmed | undefined
  const run = async () => {
    if (!('write' in step)) return step.run()
    const needed = neededOf(step.through, step.type)
    const { primaries } = await step.write()
    confirmed = { primaries, needed }
    return undefined
  }
  const operation = await history.record(step.intent, () =>
    run().catch((error: unknown) => {
      failure = error
      throw error
    }),
  )
  const { probe } = world.runtime(operation.client)
  if (confirmed !== undefined) scene.confirmed.set(operation, confirmed)
  if (confirmed !== undefined && 'write' in step && isFirm(confirmed))
    probe.mark(`client.${operation.kind} firm in ${step.type}`)
  if (isAtollError(failure, 'ATOLL_CORRUPT')) scene.saidCorrupt.push(operation)
  if (isAtollError(failure, 'ATOLL_BUCKET_NOT_FOUND')) scene.saidNoBucket.push(operation)
  const isElsewhere = isAtollError(failure, 'ATOLL_CLOSED') && failure.details['reason'] === 'left'
  const reason = failure === undefined ? '' : messageOf(failure)
  world.note(reason === '' ? describeOperation(operation) : `${describeOperation(operation)}: ${reason}`)
  // Who is inside a node when that leaves is told to ask another one.
  if (mustSucceed(options, operation) && operation.outcome !== 'ok' && step.mayFail !== true && !isElsewhere)
    complaints.push(`nothing was wrong, and ${describeOperation(operation)}: ${reason}`)
  probe.mark(`client.${operation.kind} ${operation.outcome}`)
  return operation
}

/**
 * Where nothing goes wrong nothing fails; and where disks have no room but what is kept for deletions, only writes of
 * something new do. One that is said to be down is not asked, and counts where all are needed.
 */
function mustSucceed({ faults, changes }: HouseOptions, { kind }: Operation): boolean {
  if (DISTURBING.some((change) => changes[change] !== undefined)) return false
  const isScarce = faults['scarce-disks'] !== undefined
  const others = Object.keys(faults).length - (isScarce ? 1 : 0)
  return others === 0 && !(isScarce && (kind === 'put' || kind === 'add'))
}

const DISTURBING: readonly ChangeKind[] = [
  'down',
  'force',
  'impostor',
  'restore-all',
  'twin',
  'put-back',
  'upgrade',
  'bounce',
]

/** To say of a deletion that there was nothing is to have looked. */
export function deny({ denials, world }: Scene, deletion: Operation): void {
  denials.push({ ...deletion, kind: 'get' })
  world.runtime(deletion.client).probe.mark('client.delete of nothing')
}

/** The elements of a set, in order. */
export function elementsOf({ values }: KvRead): string[] {
  const elements = values.flatMap(({ value }) => fromUtf8(value).split(' '))
  return [...new Set(elements)].sort()
}

/** The one value of a register. */
export function onlyValue({ values }: KvRead): string | undefined {
  if (values.length > 1) throw new Error(`a register holds ${values.length} values`)
  const [only] = values
  return only === undefined ? undefined : fromUtf8(only.value)
}

/** Reads an object and holds every byte against what was put; answers the name of its body. */
export async function readObject(
  { bodies }: Scene,
  node: AtollNode,
  read: {
    readonly key: string
    /** Default the one of all clients. */
    readonly bucket?: string
    readonly repair?: boolean
    readonly range?: { start: number; end: number }
    readonly chunks?: 'own' | 'lent'
    /** What the reader does between two chunks. */
    readonly pause?: () => Promise<void>
  },
): Promise<string> {
  const { key, bucket = BUCKET, pause, ...options } = read
  const object = await node.objects.get(bucket, key, options)
  const known = bodies.byEtag(object.etag)
  if (known === undefined) return `an unknown body with etag ${object.etag}`
  const { start, end } = object.range
  const expected = known.bytes.subarray(start, end)
  let at = 0
  for await (const chunk of object.body) {
    if (!Buffer.from(chunk).equals(expected.subarray(at, at + chunk.length))) {
      throw new Error(`${key} answered wrong bytes of ${known.name} from ${start + at} on`)
    }
    at += chunk.length
    await pause?.()
  }
  if (at !== expected.length) throw new Error(`${key} answered ${at} of ${expected.length} bytes`)
  return known.name
}
