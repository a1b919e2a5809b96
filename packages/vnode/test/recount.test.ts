import { expect, test } from 'vitest'
import { ClockWatch } from '../src/clock-watch.ts'
import { Counters } from '../src/counters.ts'
import { openDatabase } from '../src/database.ts'
import { HeadDigests } from '../src/head-digests.ts'
import { Hints } from '../src/hints.ts'
import { newLineage } from '../src/incarnation.ts'
import { validateVnodeHostOptions } from '../src/options.ts'
import { RecordReader } from '../src/record-reader.ts'
import { Recounter } from '../src/recount.ts'
import { sharedParts } from '../src/shared-parts.ts'
import { Vnode } from '../src/vnode.ts'
import { memoryStore, policyOf, testRuntime } from './world.ts'

const FORGETS = [{ kind: 'forget', partition: 1 }] as const

/** Counts one vnode that holds nothing; `onCounted` is called when all is counted, before anybody else knows of that. */
async function recounting(onCounted: (counters: Counters) => void) {
  const { database } = memoryStore()
  await openDatabase(database)
  const base = testRuntime()
  const info = (_: object, message: string) => {
    if (message === 'the records are counted') onCounted(counters)
  }
  const runtime = { ...base, log: { ...base.log, info } }
  const counters: Counters = new Counters({ runtime, database, onUnknown: () => recounter.look() })
  const { crc32, sha1 } = runtime.digest
  const none = new Set<number>()
  const shared = sharedParts({
    ...{ runtime, database, counters, policyOf },
    options: validateVnodeHostOptions({ node: 'n1', partitions: 8 }),
    reader: new RecordReader(runtime, database, none),
    digests: new HeadDigests(10),
    hints: new Hints({ runtime, database, maxKeys: 10 }),
    clocks: new ClockWatch(runtime),
    derivations: () => [],
    indexing: { crc32, sha1, sliceOf: () => 0 },
    ownIndexes: none,
    olderHeads: none,
    lineage: () => newLineage(runtime.random),
    reload: () => counters.load(8),
    onDone: () => {},
    onFailed: () => {},
  })
  const vnode = new Vnode(1, shared)
  const older = { isConverting: () => false, mayHaveHeads: () => false }
  const recounter = new Recounter({ runtime, database, counters, older, vnode: () => vnode })
  await counters.load(8)
  return { counters, recounter, database }
}

test('what is forgotten in the moment in which all is counted is counted, too', async () => {
  let rounds = 0
  const { counters, recounter, database } = await recounting((known) => {
    rounds += 1
    if (rounds === 1) known.take(FORGETS)
  })
  counters.take(FORGETS)
  recounter.start()
  await recounter.settled()
  expect([...counters.unknown]).toEqual([])
  expect(rounds).toBe(2)
  await recounter.stop()
  await database.close()
})
