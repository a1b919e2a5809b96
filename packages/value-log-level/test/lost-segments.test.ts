import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { FIRST_RECORD_OFFSET } from '../src/segment-file.ts'
import { openAt } from './disk-place.ts'
import { emptyImage, type Image, SimDisk } from './sim-disk.ts'
import { contents, openOn } from './workload.ts'

const VALUES = 90
const VALUE_BYTES = 2000
/** No checkpoint comes, so that it knows the first segment alone. */
const LATE = { checkpointBytes: 64 * 1024 * 1024 }

function copyOf({ files, inner }: Image): Image {
  return {
    files: new Map([...files].map(([name, bytes]) => [name, bytes.slice()])),
    inner: new Map(inner),
  }
}

/** What a process that is killed leaves of three segments. */
async function killed(): Promise<Image> {
  const disk = new SimDisk(emptyImage())
  const db = openOn(disk, LATE)
  await db.open()
  for (let n = 0; n < VALUES; n++) {
    await db.put(`${n}`.padStart(3, '0'), Buffer.alloc(VALUE_BYTES, n), { sync: true })
    // The index takes it meanwhile, by which it is known to have been there.
    await new Promise(setImmediate)
  }
  const image = copyOf(disk.image)
  await db.close()
  return image
}

const segmentsOf = ({ files }: Image) => [...files.keys()].filter((name) => name.endsWith('.segment')).sort()

/** Whether there is a record, in the first place for one: others were made ready. */
const isWritten = (bytes: Uint8Array | undefined) => bytes?.[FIRST_RECORD_OFFSET] !== 0

/** Opens a copy of an image, and says what was written to its files until that failed. */
async function refused(image: Image): Promise<{ readonly error: unknown; readonly changes: number }> {
  const disk = new SimDisk(copyOf(image))
  const error = await openOn(disk, LATE)
    .open()
    .then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
  const changes = disk.trace.filter(({ op }) => op === 'remove' || op === 'write' || op === 'truncate').length
  return { error, changes }
}

async function holdsAll(image: Image): Promise<void> {
  const db = openOn(new SimDisk(copyOf(image)), LATE)
  await db.open()
  expect((await contents(db)).size).toBe(VALUES)
  await db.close()
}

describe('a segment in which the log goes on, and that no checkpoint knows', () => {
  const losses: readonly [string, (bytes: Uint8Array) => Uint8Array | undefined][] = [
    ['is gone', () => undefined],
    ['is empty', () => new Uint8Array(0)],
    ['is cut in its header', (bytes) => bytes.slice(0, 20)],
    ['is cut behind its header', (bytes) => bytes.slice(0, 4096)],
    ['is cut behind its first record', (bytes) => bytes.slice(0, 6500)],
    ['has a damaged header', (bytes) => Uint8Array.of(bytes[0] ?? 0, 1, ...bytes.subarray(2))],
  ]

  test.each(losses)('%s: the log is refused, and nothing is changed', async (_, lose) => {
    const whole = await killed()
    const later = segmentsOf(whole)
      .slice(1)
      .filter((name) => isWritten(whole.files.get(name)))
    expect(later.length, 'segments behind the checkpoint').toBeGreaterThan(1)
    await holdsAll(whole)
    for (const name of later) {
      const image = copyOf(whole)
      const left = lose(image.files.get(name) ?? new Uint8Array(0))
      if (left === undefined) image.files.delete(name)
      else image.files.set(name, left)
      const { error, changes } = await refused(image)
      expect(error, name).toMatchObject({ cause: { code: 'ATOLL_CORRUPT' } })
      expect(changes, `changes of files, without ${name}`).toBe(0)
    }
  })

  test('has a damaged header, while the index is far behind: the log is refused, and nothing is changed', async () => {
    const disk = new SimDisk(emptyImage())
    const db = openOn(disk, LATE)
    await db.open()
    // What the index has is from before the first write: a power cut may leave it so.
    const { inner } = copyOf(disk.image)
    for (let n = 0; n < VALUES; n++)
      await db.put(`${n}`.padStart(3, '0'), Buffer.alloc(VALUE_BYTES, n), { sync: true })
    const whole = { ...copyOf(disk.image), inner }
    await db.close()
    await holdsAll(whole)
    const later = segmentsOf(whole)
      .slice(1)
      .filter((name) => isWritten(whole.files.get(name)))
    expect(later.length, 'segments behind the checkpoint').toBeGreaterThan(1)
    for (const name of later) {
      const image = copyOf(whole)
      image.files.get(name)?.fill(1, 1, 2)
      const { error, changes } = await refused(image)
      expect(error, name).toMatchObject({ cause: { code: 'ATOLL_CORRUPT' } })
      expect(changes, `changes of files, without the header of ${name}`).toBe(0)
    }
  })

  test('lacks an end in which nothing was written: the log has all', async () => {
    const image = await killed()
    const last = segmentsOf(image).at(-1) ?? ''
    const bytes = image.files.get(last) ?? new Uint8Array(0)
    image.files.set(last, bytes.slice(0, bytes.length - 1))
    await holdsAll(image)
  })

  test('was begun, and not finished: it goes', async () => {
    const image = await killed()
    const name = `${segmentsOf(image).length.toString(16).padStart(8, '0')}.segment`
    image.files.set(name, new Uint8Array(64 * 1024))
    const disk = new SimDisk(copyOf(image))
    const db = openOn(disk, LATE)
    await db.open()
    expect((await contents(db)).size).toBe(VALUES)
    expect(disk.trace.filter((op) => op.op === 'remove' && op.name === name)).toHaveLength(1)
    await db.close()
  })
})

describe('an index that is as it was made', () => {
  const work = mkdtempSync(join(tmpdir(), 'atoll-unwritten-'))
  afterAll(() => rmSync(work, { recursive: true, force: true }))

  test('of a log of version 1 that was written: is an older copy', async () => {
    const place = join(work, 'version-1')
    cpSync(join(import.meta.dirname, 'golden/version-1/killed'), place, { recursive: true })
    const values = join(place, 'values')
    const before = readdirSync(values).map((name) => readFileSync(join(values, name)))
    const journal = readdirSync(join(place, 'keys')).find((name) => name.endsWith('.log')) ?? ''
    truncateSync(join(place, 'keys', journal), 0)
    for (let tries = 0; tries < 2; tries++)
      await expect(openAt(place).open()).rejects.toMatchObject({
        cause: { code: 'ATOLL_FORMAT', details: { reason: 'index-older' } },
      })
    expect(readdirSync(values).map((name) => readFileSync(join(values, name)))).toEqual(before)
  })
})
