import { isAtollError, shielded, utf8 } from '@atoll/core'
import { type AtollNode, type Cluster, createCluster } from '@atoll/node'
import { partitionOf } from '@atoll/ring'
import { createWorld, type DiskCopy, type World } from '@atoll/sim'
import { MemoryNetwork } from '@atoll/transport'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Watch } from '../src/watch.ts'
import { tellMarks } from './silent-gossip.ts'

const COPIED = ['n1', 'n2', 'n3']
const OTHERS = ['n4', 'n5']
const ALL = [...COPIED, ...OTHERS]
/** Written before the copies are made, and after. */
const [EARLY, LATE] = [30, 30]

interface Story {
  readonly world: World
  readonly cluster: Cluster
  readonly watch: Watch
  /** Of each, one replica at least is on a node that is not put back from a copy: what was on those alone is gone. */
  readonly keys: readonly string[]
}

const idOf = (key: string) => ({ type: 'things', bucket: utf8('b'), key: utf8(key) })

async function begin(world: World): Promise<Story> {
  const network = new MemoryNetwork(world.runtime('network'), { delayMs: { min: 0, max: 2 } })
  const watch = new Watch()
  const cluster = await createCluster({
    nodes: ALL,
    partitions: 8,
    network,
    runtime: (name) => shielded(world.runtime(name)),
    storage: (name) => watch.through(name, world.disk(name).open()),
    onCrash: (name) => world.disk(name).crash(),
    bucketTypes: { things: { policy: { kind: 'siblings' } } },
    coordinator: { timeoutMs: 2000, attemptTimeoutMs: 500 },
  })
  const isSafe = (key: string) => {
    const partition = partitionOf(idOf(key), cluster.ring.partitions, cluster.node(1).runtime.digest.sha1)
    return cluster.placement.primaries(partition, 3).some(({ node }) => OTHERS.includes(node))
  }
  const names = Array.from({ length: 4 * (EARLY + LATE) }, (_, at) => `k${at}`)
  return { world, cluster, watch, keys: names.filter(isSafe).slice(0, EARLY + LATE) }
}

/**
 * Copies of directories, of three unless it says which, made at one time; then more is decided and written; then all are
 * stopped, and the copies put back.
 */
async function putMostBack({ world, cluster, keys }: Story, copied = COPIED): Promise<void> {
  const write = (keys: readonly string[]) =>
    Promise.all(keys.map((key) => cluster.node('n4').kv.put(idOf(key), { value: utf8(key) })))
  await write(keys.slice(0, EARLY))
  await cluster.idle()
  const copies = new Map<string, DiskCopy>()
  for (const name of ALL) await cluster.stop(name)
  for (const name of copied) copies.set(name, world.disk(name).copy())
  for (const name of ALL) await cluster.restart(name)
  await until(world, () => isAtRest(cluster))
  await cluster.node('n1').cluster.setBucketType('things', { n: 3, r: 2 })
  await write(keys.slice(EARLY))
  await cluster.idle()
  for (const name of ALL) await cluster.stop(name)
  for (const [name, copy] of copies) world.disk(name).restore(copy)
}

async function until(world: World, isSo: () => boolean | Promise<boolean>, withinMs = 60_000): Promise<void> {
  const { clock } = world.runtime('test')
  const endMs = clock.monotonicMs() + withinMs
  while (!(await isSo())) {
    if (clock.monotonicMs() > endMs) throw new Error('it does not come about')
    await clock.sleep(100)
  }
}

/** All five run, and are at rest. */
function isAtRest(cluster: Cluster): boolean {
  return cluster.nodes.length === ALL.length && isSettled(cluster)
}

/** Whoever runs knows the same as the others, has been believed and has caught up; nobody else is a member. */
function isSettled({ nodes }: Cluster): boolean {
  const epochs = new Set(nodes.map(({ cluster }) => cluster.status().epoch))
  const isReady = ({ cluster }: AtollNode) => {
    const { mayBeOlderCopy, pendingMoves, pendingRefills, members } = cluster.status()
    const seen = members.every(({ state, liveness }) => state === 'valid' && liveness === 'alive')
    return !mayBeOlderCopy && pendingMoves + pendingRefills === 0 && seen
  }
  return epochs.size === 1 && nodes.every(isReady)
}

/** What every node that runs says of every key, by how it answers; `denied` must never be among it. */
async function readAll({ cluster: { nodes }, keys }: Story): Promise<ReadonlyMap<string, number>> {
  const answers = new Map<string, number>()
  for (const node of nodes) {
    for (const key of keys) {
      const answer = await node.kv.get(idOf(key)).then(
        ({ values }) => (values.length === 0 ? 'denied' : 'found'),
        (error: unknown) => (isAtollError(error) ? error.code : 'not ours'),
      )
      answers.set(answer, (answers.get(answer) ?? 0) + 1)
    }
  }
  return answers
}

function told(seed: number, run: (story: Story) => Promise<void>): Promise<void> {
  const world = createWorld({ seed })
  return world.run(async () => {
    const story = await begin(world)
    await using _cluster = story.cluster
    await run(story)
  })
}

test('most members that are put back from copies decide nothing while the others are away, and deny nothing', () =>
  told(1, async (story) => {
    const { world, cluster, watch } = story
    await putMostBack(story)
    for (const name of COPIED) await cluster.restart(name, { restored: true })
    const change = cluster.node('n1').cluster.setBucketType('things', { n: 3, r: 1 })
    await expect(change).rejects.toMatchObject({
      code: 'ATOLL_QUORUM_UNMET',
      definite: true,
      message: expect.stringMatching(
        /^epoch \d+ could not be decided: n1, n2, n3 cannot vote yet: .* Start n4, n5 with the data that they had\. If .* force/,
      ),
    })
    expect([...(await readAll(story)).keys()]).not.toContain('denied')
    for (const name of OTHERS) await cluster.restart(name)
    await until(world, () => isAtRest(cluster))
    expect(await readAll(story)).toEqual(new Map([['found', ALL.length * (EARLY + LATE)]]))
    expect(watch.violations).toEqual([])
  }))

test('so do they if nobody says that they are copies, as long as one is there that knows better', () =>
  told(2, async (story) => {
    const { world, cluster, watch } = story
    await putMostBack(story)
    await cluster.restart('n4')
    await Promise.all(COPIED.map((name) => cluster.restart(name)))
    expect([...(await readAll(story)).keys()]).not.toContain('denied')
    await cluster.restart('n5')
    await until(world, () => isAtRest(cluster))
    expect(await readAll(story)).toEqual(new Map([['found', ALL.length * (EARLY + LATE)]]))
    expect(watch.violations).toEqual([])
  }))

test('a whole cluster of copies goes on by itself when all are there, and only then', () =>
  told(3, async (story) => {
    const { world, cluster } = story
    await putMostBack(story)
    for (const name of [...COPIED, 'n4']) await cluster.restart(name, { restored: true })
    await expect(cluster.node('n4').cluster.down('n5')).rejects.toMatchObject({ code: 'ATOLL_QUORUM_UNMET' })
    await cluster.restart('n5', { restored: true })
    await until(world, () => isAtRest(cluster))
    expect(await readAll(story)).toEqual(new Map([['found', ALL.length * (EARLY + LATE)]]))
  }))

test('copies whose missing others never come back go on when an operator forces it', () =>
  told(4, async (story) => {
    const { world, cluster } = story
    await putMostBack(story)
    for (const name of COPIED) await cluster.restart(name, { restored: true })
    const { force, status } = boundTo(cluster.node('n1').cluster)
    await force([], { missing: ['n2', 'n3', 'n4', 'n5'], reason: 'the copies are all that is left' })
    const isVoting = () => status().members.filter(({ state }) => state === 'valid').length === 3
    await until(world, isVoting)
    await cluster.node('n2').cluster.setBucketType('things', { n: 3, r: 2 })
  }))

test('where some voters are gone and another is a copy, the message says which to name, and that is enough', () =>
  told(6, async (story) => {
    const { world, cluster } = story
    await putMostBack(story, ['n1'])
    await cluster.restart('n1', { restored: true })
    for (const name of ['n2', 'n3']) await cluster.restart(name)
    const { force, status } = boundTo(cluster.node('n3').cluster)
    const change = cluster.node('n3').cluster.down('n5')
    const { message } = await change.then(
      () => expect.unreachable('two of five remember'),
      (error: Error) => error,
    )
    const [, on, missing] = /force the change on (\w+) with missing: (.*?): n1 as well/.exec(message) ?? []
    expect({ on, missing }).toEqual({ on: 'n3', missing: 'n1, n4, n5' })
    const removals = ['n4', 'n5'].map((node) => ({ kind: 'force-remove' as const, node }))
    await expect(force(removals, { missing: ['n4', 'n5'], reason: 'gone' })).rejects.toMatchObject({
      code: 'ATOLL_CHANGE_REFUSED',
      message: expect.stringMatching(/n1, n2, n3 are a majority.*name a voter as missing, too/),
    })
    await force(removals, { missing: ['n1', 'n4', 'n5'], reason: 'gone' })
    const { cluster: control } = cluster.node('n3')
    await control.commit(await control.plan(), { allowViolations: true })
    await until(world, () => isSettled(cluster) && status().members.length === 3)
    await cluster.node('n1').cluster.setBucketType('things', { n: 3, r: 2 })
  }))

function boundTo(control: AtollNode['cluster']) {
  return { force: control.force.bind(control), status: control.status.bind(control) }
}

test('two histories are noticed by all, nobody serves by either, and an operator says which one counts', () =>
  told(5, async (story) => {
    const { world, cluster } = story
    await putMostBack(story)
    // Nobody who is there knows better, and nobody says so.
    for (const name of COPIED) await cluster.restart(name)
    await cluster.node('n1').cluster.setBucketType('things', { n: 3, r: 1 })
    for (const name of OTHERS) await cluster.restart(name)
    await until(world, () => cluster.nodes.every((node) => node.cluster.status().forkedAt !== undefined))
    const epochs = new Set(cluster.nodes.map((node) => node.cluster.status().forkedAt))
    expect(epochs.size).toBe(1)
    expect(await readAll(story)).toEqual(new Map([['ATOLL_FORKED', ALL.length * (EARLY + LATE)]]))
    await expect(cluster.node('n2').kv.put(idOf('more'), { value: utf8('x') })).rejects.toMatchObject({
      code: 'ATOLL_FORKED',
      definite: true,
      transient: false,
      details: { epoch: [...epochs][0] },
    })
    await expect(cluster.node('n5').cluster.down('n1')).rejects.toMatchObject({ code: 'ATOLL_FORKED' })
    await cluster.node('n4').cluster.force([], { missing: COPIED, reason: 'n4 and n5 are no copies' })
    await until(world, () => isAtRest(cluster))
    expect(await readAll(story)).toEqual(new Map([['found', ALL.length * (EARLY + LATE)]]))
    expect(cluster.nodes.map((node) => node.bucketTypes.get('things').r)).toEqual(ALL.map(() => 2))
  }))

/** Two sides of a partition take each other for lost, and each is forced to go on by itself; then it is over. */
async function forceBothSides({ world, cluster, keys }: Story): Promise<void> {
  const write = (at: string, names: readonly string[]) =>
    Promise.all(names.map((key) => cluster.node(at).kv.put(idOf(key), { value: utf8(key) })))
  await write('n4', keys.slice(0, EARLY))
  await cluster.crash('n5')
  cluster.partition(['n1', 'n2'], ['n3', 'n4'])
  await until(world, () => !cluster.node('n1').isUp('n3') && !cluster.node('n3').isUp('n1'))
  const reason = 'each side takes the other one for lost'
  const one = await cluster.node('n1').cluster.force([], { missing: ['n3', 'n4', 'n5'], reason })
  const other = await cluster.node('n3').cluster.force([], { missing: ['n1', 'n2', 'n5'], reason })
  // By their epochs they are the same.
  expect(one.epoch).toBe(other.epoch)
  await write('n3', keys.slice(EARLY))
  cluster.heal()
}

/** Everybody knows that there are two documents, or has one. */
function isTogetherAgain({ nodes }: Cluster): boolean {
  const seen = nodes.map((node) => node.cluster.status())
  const isForked = seen.every(({ forkedAt }) => forkedAt !== undefined)
  return (
    isForked || seen.every(({ members }) => members.filter(({ state }) => state === 'valid').length === 4)
  )
}

test('two sides of a partition that were both forced notice each other when it is over, and end up denying nothing', () =>
  told(5, async (story) => {
    const { world, cluster } = story
    await forceBothSides(story)
    await until(world, () => isTogetherAgain(cluster))
    // What fallbacks took for the other side is given to it.
    await until(world, async () => !(await readAll(story)).has('denied'))
  }))

describe('a planted bug', () => {
  // By their epochs the two documents are the same.
  beforeEach(() => tellMarks(false))
  afterEach(() => tellMarks(true))

  test('shows: nobody tells which document it goes by, and so the two sides never notice each other', () =>
    told(5, async (story) => {
      const { world, cluster } = story
      await forceBothSides(story)
      await expect(until(world, () => isTogetherAgain(cluster))).rejects.toThrow('it does not come about')
      const members = cluster.nodes.map((node) => node.cluster.status().members)
      const up = members.map((all) => all.filter(({ state }) => state === 'valid').map(({ node }) => node))
      expect(up).toEqual([
        ['n1', 'n2'],
        ['n1', 'n2'],
        ['n3', 'n4'],
        ['n3', 'n4'],
      ])
    }))
})
