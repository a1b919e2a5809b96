import { createHash } from 'node:crypto'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { openAt } from './disk-place.ts'
import { SimDisk } from './sim-disk.ts'
import { contents, type Db, openOn } from './workload.ts'

const work = mkdtempSync(join(tmpdir(), 'atoll-pairing-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

const refusal = (reason: string) => ({
  cause: {
    code: 'ATOLL_FORMAT',
    details: { reason },
    message: expect.stringMatching(/Put back .*remove both/),
  },
})

/** Every name below a directory with a digest of what it holds. */
function digestsOf(place: string): [string, string][] {
  return readdirSync(place, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(place, name)).isFile())
    .sort()
    .map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(place, name)))
        .digest('hex'),
    ])
}

async function fill(db: Db, prefix: string, count = 20): Promise<void> {
  for (let n = 0; n < count; n++) {
    await db.put(`${prefix} large ${n}`, Buffer.alloc(2000, n), { sync: true })
    await db.put(`${prefix} small ${n}`, Buffer.alloc(20, n), { sync: true })
  }
}

async function closedLog(name: string): Promise<string> {
  const place = join(work, name)
  const db = openAt(place)
  await fill(db, 'a')
  await db.close()
  return place
}

const empty = (place: string) => {
  rmSync(place, { recursive: true })
  mkdirSync(place)
}

describe('a log whose index is lost', () => {
  const losses: readonly [string, (keys: string) => void][] = [
    ['CURRENT', (keys) => rmSync(join(keys, 'CURRENT'))],
    ['the manifest', (keys) => rmSync(join(keys, nameIn(keys, /^MANIFEST/)))],
    ['the directory', (keys) => rmSync(keys, { recursive: true })],
    ['all in the directory', empty],
  ]

  test.each(losses)('%s: is refused, and nothing is changed', async (_, lose) => {
    const place = await closedLog('lost')
    const whole = join(work, 'whole')
    cpSync(place, whole, { recursive: true })
    lose(join(place, 'keys'))
    const before = digestsOf(place)
    await expect(openAt(place).open()).rejects.toMatchObject(refusal('index-missing'))
    await expect(openAt(place).open()).rejects.toMatchObject(refusal('index-missing'))
    expect(digestsOf(place)).toEqual(before)
    rmSync(join(place, 'keys'), { recursive: true, force: true })
    cpSync(join(whole, 'keys'), join(place, 'keys'), { recursive: true })
    await holds(openAt(place), 40)
    for (const each of [place, whole]) rmSync(each, { recursive: true })
  })

  test('its newest log file: is an older copy, or has all', async () => {
    const place = await closedLog('newest')
    rmSync(join(place, 'keys', nameIn(join(place, 'keys'), /\.log$/)))
    await expect(openAt(place).open()).rejects.toMatchObject({ cause: { code: 'ATOLL_FORMAT' } })
  })
})

describe('an index whose log is lost', () => {
  const losses: readonly [string, string, (values: string) => void][] = [
    ['its note', 'log-missing', (values) => rmSync(join(values, 'VALUELOG'))],
    ['the directory', 'log-missing', (values) => rmSync(values, { recursive: true })],
    ['all in the directory', 'log-missing', empty],
  ]

  test.each(losses)('%s: is refused, and nothing of it is lost', async (_, reason, lose) => {
    const place = await closedLog('lost-log')
    const whole = join(work, 'whole-log')
    cpSync(place, whole, { recursive: true })
    const values = join(place, 'values')
    lose(values)
    await expect(openAt(place).open()).rejects.toMatchObject(refusal(reason))
    rmSync(values, { recursive: true, force: true })
    cpSync(join(whole, 'values'), values, { recursive: true })
    await holds(openAt(place), 40)
    for (const each of [place, whole]) rmSync(each, { recursive: true })
  })
})

test.each([
  ['of a newer version', (note: Buffer) => Buffer.concat([Buffer.of(3), note.subarray(1)]), 'ATOLL_FORMAT'],
  ['cut', (note: Buffer) => note.subarray(0, -1), 'ATOLL_CORRUPT'],
  ['empty', () => Buffer.alloc(0), 'ATOLL_CORRUPT'],
])(
  'a log whose note is %s: is refused, and no file is touched, of the index neither',
  async (_, as, code) => {
    const place = await closedLog('note')
    const note = join(place, 'values', 'VALUELOG')
    writeFileSync(note, as(readFileSync(note)))
    const before = digestsOf(place)
    await expect(openAt(place).open()).rejects.toMatchObject({ cause: { code } })
    expect(digestsOf(place)).toEqual(before)
    rmSync(place, { recursive: true })
  },
)

function nameIn(directory: string, pattern: RegExp): string {
  const name = readdirSync(directory).find((each) => pattern.test(each))
  expect(name, `${pattern} in ${directory}`).toBeDefined()
  return name ?? ''
}

async function holds(db: Db, count: number): Promise<void> {
  expect((await contents(db)).size).toBe(count)
  await db.close()
}

/** The state of a place, while the log is open or after it is closed. */
interface Moment {
  readonly name: string
  readonly place: string
}

/** No checkpoint comes by itself: LevelDB would delete files while they are copied. */
const QUIET = { checkpointBytes: 1e9, idleMs: 3_600_000 }

/** One log over three openings, copied again and again: also in the middle of one, after a checkpoint. */
async function moments(): Promise<Moment[]> {
  const place = join(work, 'lived')
  const taken: Moment[] = []
  const take = (name: string) => {
    const copy = join(work, 'moments', name)
    cpSync(place, copy, { recursive: true })
    taken.push({ name, place: copy })
  }
  for (const opening of [1, 2, 3]) {
    const db = openAt(place, QUIET)
    await db.open()
    for (const part of [1, 2]) {
      await fill(db, `${opening}.${part}`, 60)
      for (let n = 0; n < 50; n++) await db.del(`${opening}.${part} large ${n}`, { sync: true })
      await db.compact()
      take(`${opening}.${part}`)
    }
    await fill(db, `${opening} last`, 3)
    await db.close()
    take(`${opening} closed`)
  }
  return taken
}

test('an older copy of either beside a newer one of the other is refused before anything is written', async () => {
  const taken = await moments()
  const outcomes: string[] = []
  for (const [at, index] of taken.entries()) {
    for (const [of, log] of taken.entries()) {
      const place = join(work, 'mixed')
      cpSync(join(index.place, 'keys'), join(place, 'keys'), { recursive: true })
      cpSync(join(log.place, 'values'), join(place, 'values'), { recursive: true })
      const before = digestsOf(join(place, 'values'))
      const db = openAt(place)
      if (at === of) {
        await db.open()
        await db.close()
      } else {
        const reason = at < of ? 'index-older' : 'log-older'
        await expect(db.open(), `index ${index.name}, log ${log.name}`).rejects.toMatchObject(refusal(reason))
        expect(digestsOf(join(place, 'values'))).toEqual(before)
        outcomes.push(reason)
      }
      rmSync(place, { recursive: true })
    }
  }
  expect(outcomes).toHaveLength(taken.length * (taken.length - 1))
})

test('copies that were used apart from each other are refused', async () => {
  const disk = new SimDisk()
  await openAndClose(disk)
  const other = copyOf(disk)
  await openAndClose(disk)
  await openAndClose(other)
  const mixed = new SimDisk({ files: disk.image.files, inner: other.image.inner })
  await expect(openOn(mixed).open()).rejects.toMatchObject(refusal('diverged'))
})

test('a note that failed is made good by the next checkpoint', async () => {
  const disk = new SimDisk()
  const db = openOn(disk)
  await fill(db, 'a', 100)
  disk.fault = (_, op, name) => (op === 'whole' && name === 'VALUELOG' ? new Error('EIO') : undefined)
  for (const part of [1, 2, 3]) {
    await fill(db, `b ${part}`, 100)
    await db.compact()
  }
  const crashed = copyOf(disk)
  disk.fault = () => undefined
  await fill(db, 'c', 100)
  await db.close()
  await holds(openOn(disk), 1000)
  await holds(openOn(crashed), 800)
})

function copyOf({ image: { files, inner } }: SimDisk): SimDisk {
  const copies = [...files].map(([name, bytes]): [string, Uint8Array] => [name, bytes.slice()])
  return new SimDisk({ files: new Map(copies), inner: new Map(inner) })
}

async function openAndClose(disk: SimDisk): Promise<void> {
  const db = openOn(disk)
  await db.put('k', Buffer.alloc(1000), { sync: true })
  await db.close()
}
