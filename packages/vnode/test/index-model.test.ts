import { mergeRecords, type StoredRecord, visibleIndexEntries } from '@atoll/causality'
import { compareBytes, groupOf, type KeyId, startsWithBytes, type TermGroups, utf8 } from '@atoll/core'
import { partitionOf } from '@atoll/ring'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Database, ScanEntry, ScanRequest, VnodeHost } from '../src/index.ts'
import { content, id, makeHost, STORES, testRuntime, write } from './world.ts'

const PARTITIONS = 8
const VNODES = [1, 2, 3]
const sha1 = testRuntime().digest.sha1
const sliceOf = (key: KeyId) => partitionOf(key, PARTITIONS, sha1)

const entry = fc.record({
  index: fc.constantFrom('list', 'other'),
  scope: fc.constantFrom(utf8('s'), utf8('s\0'), utf8('t')),
  term: fc.constantFrom(...['', 'a', 'a\0', 'a\0a', 'ab', 'aba', 'b', 'ba', 'c'].map(utf8)),
  payload: fc.uint8Array({ maxLength: 3 }),
})

const command = fc.record({
  kind: fc.constantFrom('blind', 'informed', 'tombstone', 'merge'),
  key: fc.constantFrom('k', 'k1', 'k2', 'l'),
  type: fc.constantFrom('default', 'lww'),
  vnode: fc.constantFrom(...VNODES),
  other: fc.constantFrom(...VNODES),
  indexes: fc.array(entry, { maxLength: 3 }),
})

type Command = typeof command extends fc.Arbitrary<infer T> ? T : never

/** What every vnode holds, as plain maps. */
class Model {
  readonly vnodes = new Map(VNODES.map((vnode) => [vnode, new Map<string, [KeyId, StoredRecord]>()]))

  get(vnode: number, key: KeyId): StoredRecord | undefined {
    return this.vnodes.get(vnode)!.get(nameOf(key))?.[1]
  }

  set(vnode: number, key: KeyId, record: StoredRecord): void {
    this.vnodes.get(vnode)!.set(nameOf(key), [key, record])
  }

  /** One page after the other, each from where the one before ended. */
  pages(request: ScanRequest): ModelEntry[][] {
    const found = this.scan(request)
    const shown = request.groups === undefined ? found : firsts(found, request.groups)
    const page = shown.slice(0, request.limit)
    if (page.length === shown.length) return [page]
    return [page, ...this.pages({ ...request, after: page.at(-1) })]
  }

  scan(request: ScanRequest): ModelEntry[] {
    const { type, index, scope, from, to, after } = request
    return request.vnodes
      .flatMap(({ partition, slices }) =>
        [...this.vnodes.get(partition)!.values()]
          .filter(([key]) => key.type === type && slices.includes(sliceOf(key)))
          .flatMap(([key, record]) =>
            visibleIndexEntries(record)
              .filter((one) => one.index === index && compareBytes(one.scope, scope) === 0)
              .map(({ term, payloads }) => ({ term, bucket: key.bucket, key: key.key, payloads })),
          ),
      )
      .filter(({ term }) => from === undefined || compareBytes(term, from) >= 0)
      .filter(({ term }) => to === undefined || compareBytes(term, to) < 0)
      .filter((one) => after === undefined || comparePositions(one, after) > 0)
      .sort(comparePositions)
  }
}

type ModelEntry = Pick<ScanEntry, 'term' | 'bucket' | 'key' | 'payloads'>

function firsts(entries: readonly ModelEntry[], groups: TermGroups): ModelEntry[] {
  let last: Uint8Array | undefined
  return entries.filter(({ term }) => {
    if (last !== undefined && startsWithBytes(term, last)) return false
    last = groupOf(term, groups)
    return true
  })
}

type Position = Pick<ScanEntry, 'term' | 'bucket' | 'key'>

const comparePositions = (a: Position, b: Position) =>
  compareBytes(a.term, b.term) || compareBytes(a.bucket, b.bucket) || compareBytes(a.key, b.key)

const nameOf = (key: KeyId) => `${key.type} ${Buffer.from(key.key).toString()}`

async function apply(host: VnodeHost, model: Model, command: Command): Promise<void> {
  const { kind, vnode, other, indexes } = command
  const key = id(command.key, command.type)
  const known = model.get(vnode, key)
  if (kind === 'merge') {
    const record = model.get(other, key)
    if (record === undefined) return
    const policy = { kind: command.type === 'lww' ? 'last-write-wins' : 'siblings' } as const
    const merged = known === undefined ? record : mergeRecords(policy, known, record)
    const { changed } = await host.put({ partition: vnode, id: key, record })
    expect(changed).toBe(merged !== known)
    return model.set(vnode, key, merged)
  }
  const seen = kind === 'blind' ? undefined : known
  const what = content(kind, { indexes, tombstone: kind === 'tombstone' })
  const { record } = await host.coordinate(write(key, what, vnode, seen))
  model.set(vnode, key, record)
}

const ALL_SLICES = Array.from({ length: PARTITIONS }, (_, slice) => slice)

const scanOf = (more: Partial<ScanRequest>): ScanRequest => ({
  vnodes: VNODES.map((partition) => ({
    partition,
    slices: ALL_SLICES.filter((slice) => slice % 3 === partition - 1),
  })),
  type: 'default',
  index: 'list',
  scope: utf8('s'),
  from: undefined,
  to: undefined,
  after: undefined,
  limit: 1000,
  ...more,
})

const bound = fc.option(fc.constantFrom(utf8(''), utf8('a'), utf8('a\0'), utf8('aa'), utf8('c')), {
  nil: undefined,
})

/** Every slice is asked of one vnode or of none. */
const vnodesWithSlices = fc
  .array(fc.constantFrom(0, ...VNODES), { minLength: PARTITIONS, maxLength: PARTITIONS })
  .map((askedOf) =>
    VNODES.map((partition) => ({
      partition,
      slices: ALL_SLICES.filter((slice) => askedOf[slice] === partition),
    })),
  )

const scan = fc.record({
  vnodes: vnodesWithSlices,
  type: fc.constantFrom('default', 'lww'),
  index: fc.constantFrom('list', 'other', 'none'),
  scope: fc.constantFrom(utf8('s'), utf8('s\0'), utf8('t')),
  from: bound,
  to: bound,
  limit: fc.constantFrom(1, 2, 3, 1000),
  groups: fc.option(
    fc.record({
      prefix: fc.constantFrom(utf8(''), utf8('a'), utf8('b')),
      delimiter: fc.constantFrom(utf8('a'), utf8('\0'), utf8('ba')),
    }),
    { nil: undefined },
  ),
})

/** Every page of a scan, one after the other. */
async function pages(host: VnodeHost, request: ScanRequest): Promise<ScanEntry[][]> {
  const all: ScanEntry[][] = []
  let after = request.after
  for (;;) {
    const { entries, done } = await host.scan({ ...request, after })
    all.push([...entries])
    after = entries.at(-1)
    if (done || after === undefined) return all
  }
}

describe.each(STORES)('indexes on %s', (name, makeStore) => {
  it('follow the records through any history, and scans answer them in order', async () => {
    const numRuns = name === 'memory-level' ? 60 : 8
    await fc.assert(
      fc.asyncProperty(
        fc.array(command, { minLength: 5, maxLength: 40 }),
        fc.array(scan, { minLength: 5, maxLength: 10 }),
        async (commands, scans) => {
          const store = makeStore()
          const host = makeHost(store.database)
          await host.open()
          const model = new Model()
          for (const one of commands) await apply(host, model, one)
          for (const request of scans.map(scanOf)) {
            const found = await pages(host, request)
            const expected = model.pages(request)
            const plain = found.map((page) => page.map(({ slice, clockDigest, ...rest }) => rest))
            expect(plain).toEqual(expected)
            expect(found.slice(0, -1).every((page) => page.length === request.limit)).toBe(true)
            for (const { key, slice, bucket } of found.flat()) {
              expect(slice).toBe(sliceOf({ type: request.type, bucket, key }))
            }
          }
          await host.close()
          store.dispose()
        },
      ),
      { numRuns },
    )
  })

  it('tell by the digest whether two replicas hold the same record', async () => {
    const store = makeStore()
    const host = makeHost(store.database)
    await host.open()
    const indexes = [{ index: 'list', scope: utf8('s'), term: utf8('t'), payload: utf8('p') }]
    const digestOf = async (partition: number) => {
      const { entries } = await host.scan(scanOf({ vnodes: [{ partition, slices: ALL_SLICES }] }))
      return Buffer.from(entries[0]!.clockDigest).toString('hex')
    }
    const { record } = await host.coordinate(write(id('k'), content('v', { indexes }), 1))
    await host.put({ partition: 2, id: id('k'), record })
    expect(await digestOf(1)).toBe(await digestOf(2))
    await host.coordinate(write(id('k'), content('v', { indexes }), 2))
    expect(await digestOf(1)).not.toBe(await digestOf(2))
    await host.close()
    store.dispose()
  })
})

function countRows(database: Database) {
  const rows = { count: 0 }
  const iterator = database.iterator.bind(database)
  database.iterator = (options) => {
    const inner = iterator(options)
    const nextv = inner.nextv.bind(inner)
    inner.nextv = async (size) => {
      const read = await nextv(size)
      rows.count += read.length
      return read
    }
    return inner
  }
  return rows
}

describe('scans', () => {
  const whole = VNODES.map((partition) => ({ partition, slices: ALL_SLICES }))
  const listed = (term: string, payload = new Uint8Array(0)) =>
    content('v', { indexes: [{ index: 'list', scope: utf8('s'), term: utf8(term), payload }] })

  it('cost their page, not the index', async () => {
    const [, makeStore] = STORES[0]!
    const { database } = makeStore()
    const host = makeHost(database)
    await host.open()
    await Promise.all(
      Array.from({ length: 900 }, (_, at) =>
        host.coordinate(write(id(`k${at}`), listed(`t${at}`), VNODES[at % 3])),
      ),
    )
    const rows = countRows(database)
    const { entries, done } = await host.scan(scanOf({ vnodes: whole, limit: 50 }))
    expect([entries.length, done]).toEqual([50, false])
    expect(rows.count).toBeLessThan(200)
    await host.close()
  })

  it('of groups cost what they show, be the groups small or large', async () => {
    for (const size of [3, 300]) {
      const { database } = STORES[0]![1]()
      const host = makeHost(database)
      await host.open()
      await Promise.all(
        Array.from({ length: 900 }, (_, at) => {
          const folder = String(Math.floor(at / size)).padStart(3, '0')
          return host.coordinate(write(id(`k${at}`), listed(`${folder}/${at}`), VNODES[at % 3]))
        }),
      )
      const rows = countRows(database)
      const groups = { prefix: utf8(''), delimiter: utf8('/') }
      const { entries, done } = await host.scan(scanOf({ vnodes: whole, groups }))
      expect([entries.length, done]).toEqual([900 / size, true])
      // What is read at a time lies in groups that are passed over, but no more than that of each.
      expect(rows.count).toBeLessThan(size === 3 ? 1000 : 3 * 4 * (Math.ceil(1000 / 3) + 16))
      await host.close()
    }
  })

  it('read on where one vnode has more than its share', async () => {
    const host = makeHost(STORES[0]![1]().database)
    await host.open()
    const names = Array.from({ length: 200 }, (_, at) => `k${1000 + at}`)
    await Promise.all(names.map((name) => host.coordinate(write(id(name), listed(name), 2))))
    const { entries, done } = await host.scan(scanOf({ vnodes: whole }))
    expect(entries.map(({ key }) => Buffer.from(key).toString())).toEqual(names)
    expect(done).toBe(true)
    const page = await host.scan(scanOf({ vnodes: whole, limit: 190 }))
    expect([page.entries.length, page.done]).toEqual([190, false])
    await host.close()
  })

  it('end a page at its bytes, and go on', async () => {
    const { database } = STORES[0]![1]()
    const host = makeHost(database, testRuntime(), { scanBytes: 1000 })
    await host.open()
    for (let at = 0; at < 10; at++) {
      await host.coordinate(write(id(`k${at}`), listed(`t${at}`, new Uint8Array(at === 5 ? 5000 : 400))))
    }
    const found = await pages(host, scanOf({ vnodes: whole }))
    expect(found.flat().map(({ key }) => Buffer.from(key).toString())).toEqual(
      Array.from({ length: 10 }, (_, at) => `k${at}`),
    )
    expect(found.every((page) => page.length <= 2)).toBe(true)
    await host.close()
  })

  it('stop when nobody waits any more', async () => {
    const { database } = STORES[0]![1]()
    const host = makeHost(database)
    await host.open()
    const given = new AbortController()
    given.abort(new Error('enough'))
    await expect(host.scan(scanOf({}), { signal: given.signal })).rejects.toThrow('enough')
    await host.close()
  })

  it.each([{ limit: 0 }, { limit: 10_001 }, { vnodes: [{ partition: 8, slices: [] }] }, { type: 'No' }])(
    'are refused if they cannot be: %j',
    async (bad) => {
      const host = makeHost(STORES[0]![1]().database)
      await host.open()
      await expect(host.scan(scanOf(bad))).rejects.toThrow(RangeError)
      await host.close()
    },
  )
})
