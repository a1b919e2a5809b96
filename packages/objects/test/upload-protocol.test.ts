import { expect, test } from 'vitest'
import {
  activate,
  deadUploads,
  expire,
  forgetUpload,
  type History,
  isAlive,
  latestMark,
  NO_HISTORY,
  needsGuard,
  retire,
  visibleOf,
  withoutProofs,
} from '../src/history.ts'
import { manifest, upload } from './histories.ts'
import {
  EMPTY,
  historyOf,
  isExactly,
  merge,
  nameOf,
  REPLICAS,
  type Replica,
  write,
} from './small-replicas.ts'

/**
 * What decides whether an upload becomes a version or is cleared away, as one machine: a writer that activates, a collector
 * whose clock takes every lease for over, and a client that deletes the object and takes the note along, each step of them
 * at any moment. The search goes through all orders; the histories are those of the program.
 */
interface World {
  readonly replicas: readonly Replica[]
  /** Records on their way to other replicas. */
  readonly sent: readonly { readonly to: number; readonly record: Replica; readonly by: Who }[]
  readonly actors: Readonly<Record<Who, Actor>>
  readonly acknowledged: boolean
  readonly blocksGone: boolean
}

type Who = 'writer' | 'collector' | 'client'

interface Actor {
  readonly at: 'read' | 'write' | 'spread' | 'end'
  readonly rounds: number
  readonly read: Replica
  /** Primaries that have the write, and met nothing else. */
  readonly alone: readonly number[]
}

/** What the program does; a test of the test takes one of them away. */
interface Rules {
  readonly writerGuarded: boolean
  readonly collectorAsksAll: boolean
  readonly carriesProofs: boolean
  /** How many primaries there are. A read hears two of them. */
  readonly primaries: 2 | 3
  readonly withClient: boolean
}

const RULES = { writerGuarded: true, collectorAsksAll: true, carriesProofs: false }
const TWO_ACTORS: Rules = { ...RULES, primaries: 3, withClient: false }
const THREE_ACTORS: Rules = { ...RULES, primaries: 2, withClient: true }
const UUID = '02'.repeat(16)
const NOTE: History = {
  ...NO_HISTORY,
  manifests: new Map([[UUID, manifest(UUID, 'writing', { blocks: 64, sealed: false, leaseEndsMs: 5 })]]),
}
const IDLE: Actor = { at: 'read', rounds: 0, read: EMPTY, alone: [] }

function begin({ primaries, withClient }: Rules): World {
  const noted = write(EMPTY, 0, { value: NOTE, seen: [0, 0, 0] })
  return {
    // The last replica has not heard of the note yet.
    replicas: primaries === 2 ? [noted, EMPTY] : [noted, noted, EMPTY],
    sent: [{ to: primaries - 1, record: noted, by: 'writer' }],
    actors: {
      writer: { ...IDLE, at: 'write', read: noted },
      collector: IDLE,
      client: withClient ? IDLE : { ...IDLE, at: 'end' },
    },
    acknowledged: false,
    blocksGone: false,
  }
}

function nextWorlds(world: World, rules: Rules): World[] {
  const steps = (['writer', 'collector', 'client'] as const).flatMap((who) => stepsOf(world, who, rules))
  const arrivals = world.sent.map((_, index) => arrive(world, index))
  return [...steps, ...arrivals]
}

function stepsOf(world: World, who: Who, rules: Rules): World[] {
  const actor = world.actors[who]
  const become = (change: Partial<Actor>, more: Partial<World> = {}): World => ({
    ...world,
    ...more,
    actors: { ...world.actors, [who]: { ...actor, ...change } },
  })
  switch (actor.at) {
    case 'read':
      return readsOf(world).map((read) => become({ at: 'write', read }))
    case 'write':
      return writes(world, who, rules, become)
    case 'spread':
      return who === 'collector' ? decide(world, rules, become) : []
    case 'end':
      return []
  }
}

/** Stands among the primaries of a collector that has decided, and has only to forget. */
const DECIDED = -1

type Become = (change: Partial<Actor>, more?: Partial<World>) => World

function writes(world: World, who: Who, rules: Rules, become: Become): World[] {
  const actor = world.actors[who]
  const before = historyOf(actor.read)
  const after = changeOf(who, before, actor)
  if (after === undefined) return [become({ at: 'end' })]
  const isGuarded = who === 'writer' ? rules.writerGuarded : who === 'collector' || needsGuard(after)
  const again = actor.rounds < 1 && who !== 'client' && !actor.alone.includes(DECIDED)
  const declined = become(again ? { ...IDLE, rounds: actor.rounds + 1 } : { at: 'end' })
  const guarded = primariesOf(world)
    .filter((at) => !isGuarded || isExactly(replicaOf(world, at), actor.read.clock))
    .map((at) => written(world, { who, at, value: after }, become))
  if (!isGuarded) return guarded
  if (who !== 'client') return [...guarded, declined]
  // No primary can be asked for its word: the client writes all the same.
  const bare = rules.carriesProofs ? after : withoutProofs(after)
  return [...guarded, ...primariesOf(world).map((at) => written(world, { who, at, value: bare }, become))]
}

function changeOf(who: Who, before: History, { alone }: Actor): History | undefined {
  if (who === 'writer') return isAlive(before, UUID) ? activate(before, upload(UUID), 10) : undefined
  if (who === 'client') return { ...retire(before, latestMark(before, 10)) }
  if (alone.includes(DECIDED)) return forgetUpload(before, UUID)
  const expired = expire(before, 1000)
  return deadUploads(expired).length > 0 ? expired : undefined
}

interface Writing {
  readonly who: Who
  readonly at: number
  readonly value: History
}

function written(world: World, { who, at, value }: Writing, become: Become): World {
  const record = write(replicaOf(world, at), at, { value, seen: world.actors[who].read.clock })
  const replicas = world.replicas.map((replica, each) => (each === at ? record : replica))
  const others = primariesOf(world)
    .filter((to) => to !== at)
    .map((to) => ({ to, record, by: who }))
  const isDone = who !== 'collector' || world.actors[who].alone.includes(DECIDED)
  return become(isDone ? { ...IDLE, at: 'end' } : { at: 'spread', alone: [at], read: EMPTY }, {
    replicas,
    sent: [...world.sent, ...others],
    // The worst that can be: acknowledged before anybody else has it.
    acknowledged: world.acknowledged || who === 'writer',
  })
}

function decide(world: World, { collectorAsksAll }: Rules, become: Become): World[] {
  const { alone, rounds } = world.actors.collector
  const enough = collectorAsksAll ? world.replicas.length : 1
  if (alone.length < enough) return []
  return [become({ ...IDLE, rounds, alone: [DECIDED] }, { blocksGone: true })]
}

function arrive(world: World, index: number): World {
  const message = world.sent[index]
  if (message === undefined) return world
  const { to, record, by } = message
  const result = merge(replicaOf(world, to), record)
  const replicas = world.replicas.map((replica, each) => (each === to ? result : replica))
  const sent = world.sent.filter((_, each) => each !== index)
  const { collector } = world.actors
  const isAlone = nameOf(result) === nameOf(record) && by === 'collector' && collector.at === 'spread'
  const heard = isAlone ? { ...collector, alone: [...collector.alone, to] } : collector
  return { ...world, replicas, sent, actors: { ...world.actors, collector: heard } }
}

/** What two of them say together. */
function readsOf(world: World): readonly Replica[] {
  const [first, second, third] = world.replicas
  if (first === undefined || second === undefined) return []
  if (third === undefined) return [merge(first, second)]
  return [merge(first, second), merge(first, third), merge(second, third)]
}

function primariesOf({ replicas }: World): readonly number[] {
  return REPLICAS.slice(0, replicas.length)
}

function replicaOf({ replicas }: World, at: number): Replica {
  return replicas[at] ?? EMPTY
}

function keyOf({ replicas, sent, actors, acknowledged, blocksGone }: World): string {
  const actor = ({ at, rounds, read, alone }: Actor) =>
    `${at}${rounds}[${nameOf(read)}]/${[...alone].sort().join()}`
  const messages = sent.map(({ to, record, by }) => `${by}>${to}:${nameOf(record)}`).sort()
  const names = [actors.writer, actors.collector, actors.client].map(actor)
  return [replicas.map(nameOf).join('|'), messages.join('|'), names.join('|'), acknowledged, blocksGone].join(
    '#',
  )
}

/** Every world that can be reached; stops at the first in which an acknowledged version has lost its blocks. */
function search(rules: Rules): {
  readonly worlds: number
  readonly lost: World | undefined
  readonly ends: readonly World[]
} {
  const seen = new Set<string>()
  const ends: World[] = []
  const open = [begin(rules)]
  for (let world = open.pop(); world !== undefined; world = open.pop()) {
    if (seen.size > 400_000) throw new Error(`more than ${seen.size} worlds`)
    if (world.acknowledged && world.blocksGone) return { worlds: seen.size, lost: world, ends }
    const isRefused = world.actors.writer.at === 'end' && !world.acknowledged
    // What becomes of the record of an upload that was refused makes no difference to anybody.
    const following = isRefused ? [] : nextWorlds(world, rules)
    if (following.length === 0) ends.push(world)
    for (const next of following) {
      const key = keyOf(next)
      if (seen.has(key)) continue
      seen.add(key)
      open.push(next)
    }
  }
  return { worlds: seen.size, lost: undefined, ends }
}

test.each([
  ['a collector', TWO_ACTORS, 1000],
  ['a collector and a client', THREE_ACTORS, 10_000],
])(
  'beside %s an upload is in no order of what happens acknowledged and cleared away',
  (_name, rules, least) => {
    const { worlds, lost, ends } = search(rules)
    expect(lost).toBeUndefined()
    expect(worlds).toBeGreaterThan(least)
    const outcomes = new Set(ends.map(({ acknowledged, blocksGone }) => `${acknowledged} ${blocksGone}`))
    expect([...outcomes].sort()).toEqual(['false false', 'false true', 'true false'])
    // What was decided is what everybody reads once all has arrived.
    for (const { replicas, acknowledged, blocksGone } of ends) {
      const visible = visibleOf(historyOf(replicas.reduce(merge)))
      if (blocksGone) expect(visible).toBeUndefined()
      if (visible !== undefined) expect(acknowledged).toBe(true)
    }
  },
)

test.each<[string, Rules]>([
  ['a writer that does not ask whether its proof still stands', { ...TWO_ACTORS, writerGuarded: false }],
  ['a collector that goes by one primary', { ...TWO_ACTORS, collectorAsksAll: false }],
  ['a write without a guard that takes a proof along', { ...THREE_ACTORS, carriesProofs: true }],
])('the search finds what is lost by %s', (_name, broken) => {
  expect(search(broken).lost).toBeDefined()
})
