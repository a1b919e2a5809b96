import { expect, it } from 'vitest'
import type { RecordChange } from '../src/derivation.ts'
import type { VnodeHost } from '../src/index.ts'
import { content, id, makeHost, memoryStore, write } from './world.ts'

/** A derivation sees no values, but their lengths. */
function sizesOf(record: RecordChange['before']): string | undefined {
  return record?.siblings.map(({ value }) => value.length).join()
}

/** Everything that a host derives something of from now on. */
function watch(host: VnodeHost): string[] {
  const seen: string[] = []
  const told = ({ id: of, before, after, isLost, origin, coordinated }: RecordChange) => {
    const was = isLost ? 'lost' : (sizesOf(before) ?? 'nothing')
    seen.push(`${Buffer.from(of.key)}: ${was} > ${sizesOf(after) ?? 'removed'} (${origin}, ${coordinated})`)
  }
  Object.assign(host, { derivations: [told, ...host.derivations] })
  return seen
}

it('every change of a record passes the one list: what was there, what is there, where it comes from', async () => {
  const { database } = memoryStore()
  const host = makeHost(database)
  const seen = watch(host)
  await host.open()
  const { record } = await host.coordinate(write(id('a'), content('1')))
  await host.coordinate(write(id('a'), content('22'), 1, record))
  await host.put({ partition: 2, id: id('a'), record })
  const { record: block } = await host.coordinate(write(id('b', 'blocks'), content('block')))
  await host.put({ partition: 2, id: id('b', 'blocks'), record: block, isFresh: true })
  await host.put({ partition: 3, id: id('b', 'blocks'), record: block })
  await host.handoffOf(4).merge(id('a'), record)
  // What changes nothing is none.
  await host.put({ partition: 2, id: id('a'), record })
  expect(seen.splice(0)).toEqual([
    'a: nothing > 1 (client, true)',
    'a: 1 > 2 (client, true)',
    'a: nothing > 1 (replica, false)',
    'b: nothing > 5 (client, false)',
    'b: nothing > 5 (client, false)',
    'b: nothing > 5 (replica, false)',
    'a: nothing > 1 (handoff, false)',
  ])
  const vnode = host.handoffOf(4)
  const { records } = await vnode.page(undefined, { pageRecords: 10, pageBytes: 1e6 })
  for (const moving of records) await vnode.remove(moving)
  await host.drop(1)
  expect(seen.splice(0)).toEqual(['a: 1 > removed (handoff, false)'])
  await host.close()
})

it('a drop passes the list for what has index entries, and a filing by more partitions for all', async () => {
  const { database } = memoryStore()
  const host = makeHost(database)
  await host.open()
  const seen = watch(host)
  const indexed = content('i', {
    indexes: [{ index: 'x', scope: id('s').key, term: id('t').key, payload: id('p').key }],
  })
  await host.coordinate(write(id('a'), indexed, 5))
  seen.splice(0)
  await host.drop(5)
  expect(seen.splice(0)).toEqual(['a: 1 > removed (handoff, false)'])
  for (const key of ['a', 'b', 'c', 'd']) await host.coordinate(write(id(key), content(key), 1))
  seen.splice(0)
  await host.refile(16)
  const moved = seen.filter((line) => line.includes('removed')).length
  expect(moved).toBeGreaterThan(0)
  expect(seen).toHaveLength(2 * moved)
  await host.close()
})
