import { mergeRecords } from '@atoll/causality'
import { AtollError, fromUtf8, isAtollError, type KeyId, utf8 } from '@atoll/core'
import type { Prng } from '@atoll/sim'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { KvRead } from '../src/index.ts'
import type { Fault } from './fake-replicas.ts'
import { type Islands, islands, keyId, texts } from './islands.ts'

/** What clients did and saw, and which writes may have replaced which. */
class History {
  readonly acknowledged: string[] = []
  readonly #replacedBy = new Map<string, string[]>()
  reads = 0

  replaces(value: string, seen: readonly string[]): void {
    for (const other of seen) this.#replacedBy.set(other, [...(this.#replacedBy.get(other) ?? []), value])
  }

  /** Whether a write is there itself, or in one that knew of it. */
  shows(visible: readonly string[], value: string): boolean {
    if (visible.includes(value)) return true
    return (this.#replacedBy.get(value) ?? []).some((later) => this.shows(visible, later))
  }

  lost(visible: readonly string[], acknowledged: readonly string[]): string[] {
    return acknowledged.filter((value) => !this.shows(visible, value))
  }
}

const NODES = ['n1', 'n2', 'n3', 'n4', 'n5']

function unsettle({ replicas, down, runtime }: Islands, prng: Prng): void {
  replicas.delayMs = () => 1 + prng.below(40)
  replicas.fault = (): Fault | undefined => {
    const drawn = prng.below(100)
    if (drawn < 5) return { kind: 'after', error: new AtollError('ATOLL_TIMEOUT', 'answer lost') }
    if (drawn < 10) return { kind: 'before', error: new AtollError('ATOLL_TIMEOUT', 'request lost') }
    if (drawn < 13) return { kind: 'before', error: new AtollError('ATOLL_OVERLOADED', 'busy') }
    return drawn < 15 ? { kind: 'hang' } : undefined
  }
  const crash = () => {
    const node = prng.pick(NODES)
    if (replicas.dead.size < 2) replicas.dead.add(node)
    // Others notice a little later, and again when it is back.
    runtime.clock.timer(prng.below(100), () => void down.add(node))
    runtime.clock.timer(100 + prng.below(300), () => void replicas.dead.delete(node))
    runtime.clock.timer(400 + prng.below(100), () => void down.delete(node))
  }
  for (let at = 0; at < 5; at++) runtime.clock.timer(prng.below(2000), crash)
}

async function client(islands: Islands, history: History, { id, sloppy, name }: Client): Promise<void> {
  const { world, coordinator, at, runtime } = islands
  const prng = world.prng.fork(name)
  const own = prng.chance(500) ? coordinator : at('n3')
  await own.open()
  let seen: KvRead | undefined
  for (let turn = 0; turn < 12; turn++) {
    await runtime.clock.sleep(prng.below(120))
    const promised = [...history.acknowledged]
    try {
      if (prng.chance(500)) {
        seen = await own.get(id, { sloppy, timeoutMs: 400 })
        history.reads += 1
        if (!sloppy) expect(history.lost(texts(seen), promised)).toEqual([])
      } else {
        const value = `${name}.${turn}`
        const basis = prng.chance(700) ? seen : undefined
        history.replaces(value, basis === undefined ? [] : texts(basis))
        await own.put(id, { value: utf8(value), context: basis?.context }, { sloppy, timeoutMs: 400 })
        history.acknowledged.push(value)
      }
    } catch (error) {
      if (!isAtollError(error)) throw error
    }
  }
  await own.idle()
}

interface Client {
  readonly id: KeyId
  readonly sloppy: boolean
  readonly name: string
}

async function run(seed: number, sloppy: boolean): Promise<History> {
  const setting = await islands({ seed, options: { attemptTimeoutMs: 100 } })
  const history = new History()
  const id = keyId(`k${seed}`)
  await setting.world.run(async () => {
    unsettle(setting, setting.world.prng.fork('faults'))
    await Promise.all(['a', 'b', 'c'].map((name) => client(setting, history, { id, sloppy, name })))
  })
  const records = setting.replicas.recordsOf(id)
  const [first, ...others] = records
  const merged = others.reduce((all, one) => all && mergeRecords({ kind: 'siblings' }, all, one), first)
  const kept = (merged?.siblings ?? []).map(({ value }) => fromUtf8(value))
  expect(history.lost(kept, history.acknowledged)).toEqual([])
  return history
}

test.each([
  ['strict: every read sees every write acknowledged before it began', false],
  ['sloppy: no acknowledged write is lost', true],
])('%s', async (_, sloppy) => {
  let writes = 0
  let reads = 0
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 1_000_000 }), async (seed) => {
      const history = await run(seed, sloppy)
      writes += history.acknowledged.length
      reads += history.reads
    }),
    { numRuns: 25 },
  )
  expect(writes).toBeGreaterThan(120)
  expect(reads).toBeGreaterThan(120)
})
