import type { StoredRecord } from '@atoll/causality'
import { expect, test } from 'vitest'
import { type DigestEffect, type DigestEvent, DigestReads, type KnownRecord } from '../src/digest-reads.ts'
import { islands, keyOn, texts } from './islands.ts'
import { record } from './machine-kit.ts'

const VERSIONS: Readonly<Record<string, StoredRecord>> = { A: record({ a: 1 }), B: record({ a: 2 }) }
const digestOf = (of: StoredRecord) => Uint8Array.of(of.clock.get('a') ?? 0)

/** What each of three replicas has: A, B, or nothing. */
const WORLDS = ['A', 'B', '-'].flatMap((x) =>
  ['A', 'B', '-'].flatMap((y) => ['A', 'B', '-'].map((z) => x + y + z)),
)

interface Course {
  readonly has: string
  readonly first: number | undefined
  readonly known: KnownRecord | undefined
}

/** What a replica was asked for: its record, or its digest. */
interface Asked {
  readonly at: number
  readonly whole: boolean
}

interface State {
  /** The events so far. */
  readonly events: readonly DigestEvent[]
  readonly underWay: readonly Asked[]
  readonly hurried: boolean
}

/** Plays every order in which answers and the hurry can come, and calls `ended` at the end of each. */
function everyOrder(
  course: Course,
  ended: (effects: readonly DigestEffect[], asked: readonly Asked[]) => void,
) {
  const { has, first, known } = course
  const begun = [0, 1, 2].map((at) => ({ at, whole: at === first }))
  const play = (state: State) => {
    const machine = new DigestReads({ first, known, digestOf })
    const effects: DigestEffect[] = []
    const asked: Asked[] = [...begun]
    let latest: readonly DigestEffect[] = []
    for (const event of state.events) {
      latest = machine.step(event)
      effects.push(...latest)
    }
    for (const effect of effects) if (effect.kind === 'ask') asked.push({ at: effect.at, whole: true })
    const more = latest.flatMap((effect) => (effect.kind === 'ask' ? [{ at: effect.at, whole: true }] : []))
    const underWay = [...state.underWay, ...more]
    if (underWay.length === 0) return ended(effects, asked)
    for (const one of underWay) {
      const rest = underWay.filter((other) => other !== one)
      for (const event of answers(one, has[one.at] ?? '-'))
        play({ ...state, events: [...state.events, event], underWay: rest })
    }
    if (!state.hurried) play({ events: [...state.events, { kind: 'hurry' }], underWay, hurried: true })
  }
  play({ events: [], underWay: begun, hurried: false })
}

/** Whoever is asked may fail, too. */
function answers({ at, whole }: Asked, version: string): readonly DigestEvent[] {
  const held = VERSIONS[version]
  if (held === undefined) return [{ kind: 'nothing', at }]
  const told: DigestEvent = whole
    ? { kind: 'record', at, record: held }
    : { kind: 'digest', at, digest: digestOf(held) }
  return [told, { kind: 'nothing', at }]
}

test.each(WORLDS)(
  'in every order each replica counts with what it has, and is asked twice at most: %s',
  (has) => {
    const known = Object.values(VERSIONS).map((of) => ({ record: of, digest: digestOf(of) }))
    const courses = [0, 1].map((first): Course => ({ has, first, known: undefined }))
    let ends = 0
    for (const course of [...courses, ...known.map((of) => ({ has, first: undefined, known: of }))]) {
      everyOrder(course, (effects, asked) => {
        ends += 1
        for (const at of [0, 1, 2]) {
          const ofOne = asked.filter((one) => one.at === at)
          const same = effects.filter((effect) => effect.kind === 'same' && effect.at === at)
          expect(ofOne.length).toBeLessThanOrEqual(2)
          expect(ofOne.filter(({ whole }) => whole).length).toBeLessThanOrEqual(1)
          expect(same.length).toBeLessThanOrEqual(1)
          for (const effect of same)
            if (effect.kind === 'same') expect(effect.record).toBe(VERSIONS[has[at] ?? '-'])
        }
      })
    }
    expect(ends).toBeGreaterThan(50)
  },
)

const digestsAsked = (replicas: { readonly calls: readonly { readonly digestOnly?: boolean }[] }) =>
  replicas.calls.filter(({ digestOnly }) => digestOnly === true).length

test('of three replicas the near one sends the record, and the others its digest', async () => {
  const setting = await islands()
  const { world, coordinator, replicas } = setting
  const id = keyOn(setting, ['n5', 'n1', 'n2'])
  await world.run(async () => {
    await coordinator.put(id, { value: new Uint8Array(4096).fill(7) }, { dw: 'all' })
    replicas.calls.length = 0
    const [read] = (await coordinator.get(id)).values
    expect(read?.value).toEqual(new Uint8Array(4096).fill(7))
    await coordinator.idle()
    expect(replicas.calls.map(({ node, digestOnly }) => `${node} ${digestOnly}`).sort()).toEqual([
      'n1 false',
      'n2 true',
      'n5 true',
    ])
  })
})

test('what is read again is confirmed by digests alone, and is the own copy of each reader', async () => {
  const setting = await islands()
  const { world, coordinator, replicas } = setting
  const id = keyOn(setting, ['n2', 'n3', 'n4'])
  await world.run(async () => {
    await coordinator.put(id, { value: Uint8Array.of(1, 2, 3) }, { dw: 'all' })
    for (let n = 0; n < 2; n++) await coordinator.get(id)
    await coordinator.idle()
    replicas.calls.length = 0
    for (let n = 0; n < 3; n++) {
      const [read] = (await coordinator.get(id)).values
      expect(read?.value).toEqual(Uint8Array.of(1, 2, 3))
      read?.value.fill(9)
    }
    await coordinator.idle()
    expect(digestsAsked(replicas)).toBe(9)
    expect(replicas.calls.length).toBe(9)
  })
})

test('what another coordinator has written since is read, whatever is remembered here', async () => {
  const setting = await islands()
  const { world, coordinator, at } = setting
  const id = keyOn(setting, ['n1', 'n2', 'n3'])
  const other = at('n4')
  await other.open()
  await world.run(async () => {
    for (const text of ['one', 'two', 'three', 'four']) {
      const { context } = await other.get(id)
      await other.put(id, { value: new TextEncoder().encode(text), context })
      for (let n = 0; n < 3; n++) expect(texts(await coordinator.get(id))).toEqual([text])
    }
  })
  await other.close()
})

test('a replica that is behind is repaired by what the others have, and one that is ahead is heard', async () => {
  const setting = await islands()
  const { world, coordinator, replicas, primaries } = setting
  const id = keyOn(setting, ['n1', 'n2', 'n3'])
  await world.run(async () => {
    await coordinator.put(id, { value: Uint8Array.of(1) }, { dw: 'all' })
    const targets = primaries(id)
    const old = targets[0] && replicas.peek(targets[0], id)
    const { context } = await coordinator.get(id)
    await coordinator.put(id, { value: Uint8Array.of(2), context }, { dw: 'all' })
    for (const behind of targets.slice(0, 2)) {
      if (old) replicas.store(behind, id, old)
      expect((await coordinator.get(id, { r: 'all' })).values.map(({ value }) => value[0])).toEqual([2])
      await coordinator.idle()
      for (const target of targets)
        expect(replicas.peek(target, id)).toEqual(replicas.peek(targets[2] ?? target, id))
    }
  })
})

test('a replica that is slow to send the record, damaged or out of reach is not waited for', async () => {
  const setting = await islands({ options: { hedgeStartMs: 50, recentBytes: 0 } })
  const { world, coordinator, replicas, primaries } = setting
  const id = keyOn(setting, ['n1', 'n2', 'n3'])
  await world.run(async () => {
    await coordinator.put(id, { value: Uint8Array.of(1) }, { dw: 'all' })
    const [near] = primaries(id)
    const spoil = [
      () => void replicas.dead.add('n1'),
      () => {
        replicas.delayMs = (node) => (node === 'n1' ? 1000 : 1)
      },
      () => near && replicas.corrupt(near, id),
    ]
    for (const begin of spoil) {
      begin()
      const startMs = world.nowMs
      expect((await coordinator.get(id)).values.map(({ value }) => value[0])).toEqual([1])
      expect(world.nowMs - startMs).toBeLessThan(100)
      replicas.dead.clear()
      replicas.delayMs = () => 1
      await coordinator.idle()
    }
    expect(near && replicas.peek(near, id)).toBeDefined()
  })
})

test('nodes of a build before send their records, and count as ever', async () => {
  const setting = await islands()
  const { world, coordinator, replicas } = setting
  await world.run(async () => {
    for (const old of [['n1'], ['n2', 'n3'], ['n1', 'n2', 'n3']]) {
      replicas.knowsDigests = (node) => !old.includes(node)
      const id = keyOn(setting, ['n1', 'n2', 'n3'])
      const { context } = await coordinator.get(id)
      await coordinator.put(id, { value: Uint8Array.of(old.length), context }, { dw: 'all' })
      for (let n = 0; n < 4; n++)
        expect((await coordinator.get(id)).values.map(({ value }) => value[0])).toEqual([old.length])
    }
  })
})

test('a read that repairs asks every replica for what it stores, whatever is remembered', async () => {
  const setting = await islands()
  const { world, coordinator, replicas } = setting
  const id = keyOn(setting, ['n1', 'n2', 'n3'])
  await world.run(async () => {
    await coordinator.put(id, { value: Uint8Array.of(1) }, { dw: 'all' })
    for (let n = 0; n < 3; n++) await coordinator.get(id)
    await coordinator.idle()
    replicas.calls.length = 0
    await coordinator.get(id, { repair: true })
    expect(replicas.calls.map(({ node }) => node).sort()).toEqual(['n1', 'n2', 'n3'])
    expect(digestsAsked(replicas)).toBe(0)
  })
})

test('a record is digested only where there is a digest to compare it with, and once', () => {
  let computed = 0
  const counted = (of: StoredRecord) => {
    computed += 1
    return digestOf(of)
  }
  const machine = new DigestReads({ first: 0, known: undefined, digestOf: counted })
  const A = record({ a: 1 })
  expect(machine.step({ kind: 'record', at: 0, record: A })).toEqual([])
  expect(computed).toBe(0)
  for (const at of [1, 2])
    expect(machine.step({ kind: 'digest', at, digest: digestOf(A) })).toEqual([
      { kind: 'same', at, record: A },
    ])
  expect(computed).toBe(1)
})
