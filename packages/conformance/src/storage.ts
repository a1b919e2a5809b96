/// <reference path="./level-suite.d.ts" />
import type { AbstractLevel } from 'abstract-level'
import levelSuite from 'abstract-level/test/index.js'
import type { Harness } from './harness.ts'
import { batchTests } from './storage-batches.ts'
import { lifecycleTests, permanenceTests } from './storage-lifecycle.ts'
import { orderTests, valueTests } from './storage-order.ts'
import { snapshotTests } from './storage-snapshots.ts'
import { tapeTest } from './tape.ts'

/** Any abstract-level database, whatever it keeps its bytes in. */
export type TestedDatabase = AbstractLevel<string | Buffer | Uint8Array, string, string>

export interface StorageSubject {
  /** What the database is called in the names of the tests. */
  readonly name: string
  /** A new, empty database on a place of its own, with these options of abstract-level. */
  create(options?: object): TestedDatabase
  /** A second handle on the place of a database that was closed. Without it the tests of permanence are left out. */
  reopen?(closed: TestedDatabase): TestedDatabase
}

/** Tests by name, each on databases of its own. */
export type StorageTests = Readonly<Record<string, (subject: StorageSubject) => Promise<void>>>
export type PermanenceTests = Readonly<Record<string, (subject: Required<StorageSubject>) => Promise<void>>>

/**
 * Registers the tests that a database must pass before Atoll stores anything in it: first abstract-level's own
 * published suite, of which the tests share databases and so run in order; then what a vnode relies on beyond it.
 */
export function storageSuite(harness: Harness, subject: StorageSubject): void {
  harness.describe(`${subject.name} as an abstract-level database`, () => {
    levelSuite({ test: tapeTest(harness), factory: (options) => subject.create(options) })
  })
  harness.describe(`${subject.name} as the store of a vnode`, () => {
    const tests = { ...orderTests, ...valueTests, ...batchTests, ...snapshotTests, ...lifecycleTests }
    for (const [name, run] of Object.entries(tests)) harness.test(name, () => run(subject))
    const { reopen } = subject
    if (reopen === undefined) return
    for (const [name, run] of Object.entries(permanenceTests)) {
      harness.test(name, () => run({ ...subject, reopen }))
    }
  })
}
