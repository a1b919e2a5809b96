import { createHash, randomBytes, randomInt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Content, MergePolicy, StoredRecord } from '@atoll/causality'
import {
  createMetrics,
  type KeyId,
  type MetricsRegistry,
  quietLog,
  type Runtime,
  sleepOn,
  toHex,
  utf8,
} from '@atoll/core'
import { ClassicLevel } from 'classic-level'
import { MemoryLevel } from 'memory-level'
import { type Database, VnodeHost, type VnodeHostOptions } from '../src/index.ts'

export interface TestRuntime extends Runtime {
  readonly metrics: MetricsRegistry
  /** Marks by how often they were passed. */
  readonly marks: Map<string, number>
  wallMs: number
}

export function testRuntime(): TestRuntime {
  const marks = new Map<string, number>()
  const timer: Runtime['clock']['timer'] = (delayMs, fire) => {
    const handle = setTimeout(fire, delayMs)
    return { cancel: () => clearTimeout(handle) }
  }
  const runtime: TestRuntime = {
    wallMs: 1_000_000,
    marks,
    clock: {
      monotonicMs: () => performance.now(),
      wallMs: () => runtime.wallMs,
      timer,
      sleep: (delayMs, options) => sleepOn({ timer }, delayMs, options),
    },
    random: { bytes: (length) => new Uint8Array(randomBytes(length)), below: (limit) => randomInt(limit) },
    digest: {
      sha1: (data) => new Uint8Array(createHash('sha1').update(data).digest()),
      crc32: (data, seed) => crc32(data, seed),
      stream: () => {
        throw new Error('vnodes digest no streams')
      },
    },
    log: quietLog,
    metrics: createMetrics(),
    probe: { mark: (name) => void marks.set(name, (marks.get(name) ?? 0) + 1) },
  }
  return runtime
}

/** A database that can be closed and opened again with what it held. */
export interface TestStore {
  database: Database
  /** What is on disk, opened anew; a memory database stays the same one. */
  again(): Database
  dispose(): void
}

export const STORES: readonly [string, () => TestStore][] = [
  ['memory-level', memoryStore],
  ['classic-level', classicStore],
]

export function memoryStore(): TestStore {
  const database = new MemoryLevel<string, string>()
  return { database, again: () => database, dispose: () => {} }
}

export function classicStore(): TestStore {
  const path = mkdtempSync(join(tmpdir(), 'atoll-vnode-'))
  const open = () => new ClassicLevel<string, string>(path)
  return {
    database: open(),
    again: open,
    dispose: () => rmSync(path, { recursive: true, force: true }),
  }
}

export const POLICIES: Record<string, MergePolicy> = {
  default: { kind: 'siblings' },
  lww: { kind: 'last-write-wins' },
  blocks: { kind: 'write-once' },
}

export const policyOf = (type: string): MergePolicy => POLICIES[type] ?? { kind: 'siblings' }

/** Of data whose lives follow on each other. */
export function makeHost(
  database: Database,
  runtime: Runtime = testRuntime(),
  options: Partial<VnodeHostOptions> = {},
): VnodeHost {
  const lineage = () => ({ name: 'only', continues: true })
  return new VnodeHost(runtime, { database, policyOf, lineage }, { node: 'n1', partitions: 8, ...options })
}

export function id(key: string, type = 'default', bucket = 'b'): KeyId {
  return { type, bucket: utf8(bucket), key: utf8(key) }
}

export function content(text: string | Uint8Array, more: Partial<Content> = {}): Content {
  const value = typeof text === 'string' ? utf8(text) : text
  return { value, metadata: new Map(), tombstone: false, expiresAtMs: undefined, indexes: [], ...more }
}

let writes = 0

/** A request to coordinate a write, blind unless told otherwise. */
export function write(key: KeyId, what: Content, partition = 1, context?: StoredRecord) {
  writes += 1
  const writeId = new Uint8Array(16)
  new DataView(writeId.buffer).setUint32(0, writes)
  return {
    partition,
    id: key,
    content: what,
    valueCrc32: crc32(what.value),
    writeId,
    context: context === undefined ? undefined : { vector: context.clock, timestampMs: 0 },
  }
}

export function valuesOf(record: StoredRecord | undefined): string[] {
  return (record?.siblings ?? []).map(({ value }) => Buffer.from(value).toString())
}

/** A record to compare with another: two texts are compared at once, two large arrays byte by byte, in seconds. */
export function inHex(record: StoredRecord | undefined) {
  return (
    record && { ...record, siblings: record.siblings.map((one) => ({ ...one, value: toHex(one.value) })) }
  )
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
