import { createHash } from 'node:crypto'
import { encodeRecord, type StoredRecord } from '@atoll/causality'
import { type KeyId, messageOf } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import type { ReplicaValues } from '@atoll/sim'
import type { RegisterFinal } from './check-registers.ts'
import { orNothing } from './client.ts'
import { BUCKET, nameOf, recordId } from './names.ts'
import { timestampOf } from './register-work.ts'
import {
  elementsOf,
  objectKeys,
  onlyValue,
  REGISTERS_TYPE,
  readObject,
  registerKeys,
  type Scene,
  SETS_TYPE,
  setKeys,
} from './scene.ts'
import { holdersOf, partitionIn } from './strays.ts'

/** What everything is in the end, as any node says it. */
export interface Finals {
  readonly objects: ReadonlyMap<string, string | undefined>
  /** Objects of which a part is lost, and what was said of them. */
  readonly unreadable: ReadonlyMap<string, string>
  readonly listed: readonly string[]
  readonly sets: ReadonlyMap<string, ReadonlySet<string>>
  readonly registers: ReadonlyMap<string, RegisterFinal>
  /** What the primaries of each record hold. */
  readonly replicas: ReadonlyMap<string, ReplicaValues>
}

export async function readFinals(scene: Scene, ids: readonly KeyId[]): Promise<Finals> {
  const { world, cluster, options } = scene
  const node = world.prng.fork('final reader').pick(cluster.nodes)
  const { objects, unreadable } = await readObjects(scene, node)
  const listed: string[] = []
  for await (const { key } of node.objects.listAll(BUCKET)) listed.push(key)
  const sets = new Map<string, ReadonlySet<string>>()
  for (const key of setKeys(options)) {
    sets.set(key, new Set(elementsOf(await node.kv.get(recordId(SETS_TYPE, key)))))
  }
  const registers = new Map<string, RegisterFinal>()
  for (const key of registerKeys(options)) registers.set(key, await readRegister(node, key))
  return { objects, unreadable, listed, sets, registers, replicas: await readReplicas(scene, ids) }
}

async function readObjects(scene: Scene, node: AtollNode): Promise<Pick<Finals, 'objects' | 'unreadable'>> {
  const objects = new Map<string, string | undefined>()
  const unreadable = new Map<string, string>()
  for (const key of objectKeys(scene.options)) {
    try {
      objects.set(key, await orNothing(readObject(scene, node, { key })))
    } catch (error) {
      objects.set(key, 'something that cannot be read')
      unreadable.set(key, messageOf(error))
    }
  }
  return { objects, unreadable }
}

async function readRegister(node: AtollNode, key: string): Promise<RegisterFinal> {
  const read = await node.kv.get(recordId(REGISTERS_TYPE, key))
  return { value: onlyValue(read), timestampMs: timestampOf(read) }
}

/** Asks the storage of every primary itself: what it answers is there. */
export async function readReplicas(
  scene: Scene,
  ids: readonly KeyId[],
): Promise<ReadonlyMap<string, ReplicaValues>> {
  const records = new Map<string, ReplicaValues>()
  for (const id of ids) {
    const partition = partitionIn(scene, id)
    const held = new Map<string, string | undefined>()
    for (const holder of holdersOf(scene, id)) {
      const { record } = await holder.vnodes.get({ partition, id })
      held.set(holder.name, record && digestOf(record))
    }
    records.set(nameOf(id), held)
  }
  return records
}

function digestOf(record: StoredRecord): string {
  const { head, body } = encodeRecord(record)
  return createHash('sha1').update(head).update(body).digest('hex').slice(0, 12)
}
