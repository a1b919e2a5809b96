import { expect, test } from 'vitest'
import { CHECKPOINT_KEY } from '../src/pointer.ts'
import type { Files, InnerLevel } from '../src/ports.ts'
import { type Bug, findFault, type Ports } from './compaction-world.ts'

const SEEDS = 6

/** An object with the methods of another but for some: its private fields are the other's. */
function standingBefore<T extends object>(target: T, own: Partial<T>): T {
  return new Proxy(target, {
    get: (_, name) => {
      const replaced = Reflect.get(own, name)
      const member = replaced ?? Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}

const withInner = (own: (inner: InnerLevel) => Partial<InnerLevel>) => (ports: Ports) => ({
  ...ports,
  inner: standingBefore(ports.inner, own(ports.inner)),
})
const withFiles = (own: (files: Files) => Partial<Files>) => (ports: Ports) => ({
  ...ports,
  files: { ...ports.files, ...own(ports.files) },
})

/** What compaction could get wrong, and what it builds on. */
const BUGS: readonly Bug[] = [
  {
    about: 'compaction drops a value that is still in use',
    // Nobody else asks for many keys at a time here.
    build: withInner((inner) => ({
      getMany: async (keys, options) => {
        const found = await inner.getMany(keys, options)
        return found.map((value, at) => (at === 0 ? undefined : value))
      },
    })),
  },
  {
    about: 'compaction ignores the room that is kept',
    build: withFiles(() => ({ freeBytes: async () => 1e12 })),
  },
  {
    about: 'segments are given back before the checkpoint that says so is durable',
    build: withInner((inner) => ({
      batch: () => {
        const batch = inner.batch()
        return standingBefore(batch, { write: () => batch.write({}) })
      },
    })),
  },
  {
    about: 'a checkpoint is not written',
    build: withInner((inner) => {
      let checkpoints = 0
      return {
        batch: () => {
          const batch = inner.batch()
          const put: typeof batch.put = (key, value, encodings) =>
            key === CHECKPOINT_KEY && ++checkpoints > 1 ? batch : batch.put(key, value, encodings)
          return standingBefore(batch, { put })
        },
      }
    }),
  },
  {
    about: 'a write that should be durable is only written',
    build: withFiles((files) => ({ openDurable: (name) => files.open(name) })),
  },
]

test.each(Array.from({ length: SEEDS }, (_, n) => n + 1))('world %i is sound', async (seed) => {
  expect(await findFault(seed)).toBeUndefined()
})

test.each(BUGS)('is noticed: $about', async (bug) => {
  const found: string[] = []
  for (let seed = 1; seed <= SEEDS && found.length === 0; seed++) {
    const fault = await findFault(seed, bug)
    if (fault !== undefined) found.push(fault)
  }
  expect(found).toHaveLength(1)
})
