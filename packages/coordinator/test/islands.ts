import { type Clock, fromUtf8, type KeyId, utf8 } from '@atoll/core'
import {
  createRing,
  Placement,
  type PreferenceEntry,
  partitionOf,
  type ReplicaTable,
  type Ring,
} from '@atoll/ring'
import { createWorld, type SimRuntime, type World } from '@atoll/sim'
import { BucketTypes, Coordinator, type CoordinatorOptions, type KvRead } from '../src/index.ts'
import { FakeReplicas } from './fake-replicas.ts'

export const PARTITIONS = 8

export interface Islands {
  readonly world: World
  readonly runtime: SimRuntime
  /** The next epoch: each partition gets the owner of this list, which goes round, or the holders that `table` says. */
  readonly reshape: (names: readonly string[], table?: ReplicaTable) => void
  /** From now on whoever asks for the placement gets this error, as on a node that is no member any more. */
  readonly leave: (error: Error) => void
  readonly replicas: FakeReplicas
  readonly types: BucketTypes
  /** Nodes that are known to be down. */
  readonly down: Set<string>
  /** Those of them that may be back, as far as the cluster knows; the others are dead. */
  readonly suspects: Set<string>
  readonly coordinator: Coordinator
  /** A coordinator on another node. */
  readonly at: (node: string) => Coordinator
  readonly primaries: (id: KeyId, n?: number) => readonly PreferenceEntry[]
}

export interface IslandsOptions {
  readonly nodes?: number
  readonly seed?: number
  readonly options?: CoordinatorOptions
  /** The clock of the coordinators, if that is not the world's. */
  readonly clockOf?: (clock: Clock) => Clock
}

/** Some nodes n1, n2, … over fake replicas, with a coordinator on n1 that is open. */
export async function islands({
  nodes = 5,
  seed = 1,
  options = {},
  clockOf = (clock) => clock,
}: IslandsOptions = {}): Promise<Islands> {
  const world = createWorld({ seed })
  const runtime = world.runtime('n1')
  const names = Array.from({ length: nodes }, (_, at) => `n${at + 1}`)
  let placement = new Placement(ringOf(names), 1)
  const reshape = (next: readonly string[], table?: ReplicaTable) => {
    placement = new Placement(ringOf(next), placement.epoch + 1, table === undefined ? {} : { table })
  }
  let left: Error | undefined
  const leave = (error: Error) => {
    left = error
  }
  const known = () => {
    if (left !== undefined) throw left
    return placement
  }
  const types = new BucketTypes()
  types.set('once', { policy: { kind: 'write-once' } })
  types.set('lww', { policy: { kind: 'last-write-wins' } })
  const replicas = new FakeReplicas(runtime, (type) => types.policyOf(type), PARTITIONS)
  const down = new Set<string>()
  const suspects = new Set<string>()
  const at = (node: string) =>
    new Coordinator(
      { ...runtime, clock: clockOf(runtime.clock) },
      {
        node,
        placement: known,
        replicas,
        liveness: {
          isUp: (other) => !down.has(other),
          statusOf: (other) => (!down.has(other) ? 'alive' : suspects.has(other) ? 'suspect' : 'dead'),
        },
        bucketTypes: types,
      },
      options,
    )
  const coordinator = at('n1')
  await coordinator.open()
  const primaries = (id: KeyId, n = 3) =>
    placement.primaries(partitionOf(id, PARTITIONS, runtime.digest.sha1), n)
  return { world, runtime, reshape, leave, replicas, types, down, suspects, coordinator, at, primaries }
}

function ringOf(names: readonly string[]): Ring {
  const owners = Array.from({ length: PARTITIONS }, (_, at) => names[at % names.length] ?? '')
  return createRing({ partitions: PARTITIONS, owners })
}

export function keyId(key: string, type = 'default'): KeyId {
  return { type, bucket: utf8('b'), key: utf8(key) }
}

/** A key of which the primaries are these nodes, in this order. */
export function keyOn(islands: Islands, nodes: readonly string[], type = 'default'): KeyId {
  for (let attempt = 0; attempt < 1000; attempt++) {
    const id = keyId(`k${attempt}`, type)
    if (islands.primaries(id, nodes.length).every(({ node }, at) => node === nodes[at])) return id
  }
  throw new Error(`no key lies on ${nodes.join(', ')}`)
}

export function texts(read: KvRead): string[] {
  return read.values.map(({ value }) => fromUtf8(value))
}

/** What a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('expected a rejection')
}
