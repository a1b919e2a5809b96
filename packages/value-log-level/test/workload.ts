import type { ValueLogRuntime } from '../src/index.ts'
import { nodeRuntime, ValueLogLevel, type ValueLogOptions } from '../src/index.ts'
import type { Draw, SimDisk } from './sim-disk.ts'

export type Db = ValueLogLevel<string, Uint8Array>

export const SMALL_LOG: ValueLogOptions = {
  thresholdBytes: 300,
  segmentBytes: 64 * 1024,
  reserveBytes: 128 * 1024,
  checkpointBytes: 64 * 1024,
  groupBytes: 8 * 1024,
  flushDelayMs: 1,
  compactBytesPerSecond: 1e12,
}

/** Gives space back all the time, so that whatever else happens comes between. */
export const RESTLESS: ValueLogOptions = { idleMs: 2, segmentBytes: 128 * 1024, reserveBytes: 0 }

export function openOn(
  disk: SimDisk,
  options: ValueLogOptions = {},
  runtime: ValueLogRuntime = nodeRuntime(),
): Db {
  const parts = { inner: disk.inner(), files: disk.files() }
  return new ValueLogLevel(runtime, parts, { valueEncoding: 'view', valueLog: { ...SMALL_LOG, ...options } })
}

export interface Write {
  readonly ops: readonly { readonly key: string; readonly value: Uint8Array | undefined }[]
  readonly sync: boolean
}

const KEYS = 12
/** Written by every batch: it tells which batch was the last. */
export const LAST = 'last'

/** Batch `index` of a workload: puts small and large, deletes, several keys in one. */
export function drawWrite(index: number, draw: Draw): Write {
  const ops: { key: string; value: Uint8Array | undefined }[] = []
  const count = 1 + draw(3)
  for (let n = 0; n < count; n++) {
    const key = `key ${draw(KEYS)}`
    ops.push({ key, value: draw(5) === 0 ? undefined : bytesOf(index, n, draw) })
  }
  ops.push({ key: LAST, value: Buffer.from(`${index}`) })
  return { ops, sync: draw(3) > 0 }
}

function bytesOf(index: number, n: number, draw: Draw): Uint8Array {
  const sizes = [10, 100, 400, 1500, 5000]
  const value = Buffer.alloc((sizes[draw(sizes.length)] ?? 1) + draw(50))
  const text = `${index}/${n};`
  for (let at = 0; at < value.length; at += text.length) value.write(text, at)
  return value
}

export function operationsOf({ ops }: Write) {
  return ops.map(({ key, value }) =>
    value === undefined ? { type: 'del' as const, key } : { type: 'put' as const, key, value },
  )
}

/** What the database must hold after the first `count` writes. */
export function modelAfter(writes: readonly Write[], count: number): Map<string, string> {
  const model = new Map<string, string>()
  for (const { ops } of writes.slice(0, count)) {
    for (const { key, value } of ops) {
      if (value === undefined) model.delete(key)
      else model.set(key, Buffer.from(value).toString('latin1'))
    }
  }
  return model
}

export async function contents(db: Db): Promise<Map<string, string>> {
  const entries = await db.iterator().all()
  return new Map(entries.map(([key, value]) => [key, Buffer.from(value).toString('latin1')]))
}

/** How many writes are in, by the key that each of them sets. */
export function countOf(held: Map<string, string>): number {
  const last = held.get(LAST)
  return last === undefined ? 0 : Number(last) + 1
}
