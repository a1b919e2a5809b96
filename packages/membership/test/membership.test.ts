import { expect, test } from 'vitest'
import {
  type ClusterDocument,
  encodeDocument,
  firstDocument,
  markDown,
  markUp,
  setBucketType,
  votersOf,
} from '../src/index.ts'
import { Sea } from './world.ts'

const NODES = ['n1', 'n2', 'n3', 'n4', 'n5']
const type = (name: string) => ({ name, bytes: new Uint8Array([1]), n: 3 })

async function inSea(run: (sea: Sea) => Promise<void>, sea = new Sea(1)): Promise<Sea> {
  await sea.world.run(async () => {
    await run(sea)
    await sea.end()
  })
  return sea
}

test('a cluster grows from one node to five by joins, and shrinks again', () =>
  inSea(async (sea) => {
    await sea.begin(['n1'])
    for (const node of NODES.slice(1)) {
      const membership = await sea.machine(node).start()
      const document = await membership.join({ seeds: ['n1'], address: `${node}:1` })
      expect(document.members.get(node)).toMatchObject({ state: 'joining', id: membership.id })
    }
    expect(await sea.converge()).toBe(true)
    const plan = sea.member('n3').plan()
    expect(plan.changes).toHaveLength(4)
    await sea.member('n3').commit(plan)
    expect(await sea.converge()).toBe(true)
    await sea.world.runtime('test').clock.sleep(10_000)
    expect(sea.machine('n1').document?.moves).toEqual([])
    await sea.member('n2').stage({ kind: 'leave', node: 'n1' })
    await sea.member('n4').stage({ kind: 'leave', node: 'n5' })
    await sea.member('n4').commit(sea.member('n4').plan())
    await sea.world.runtime('test').clock.sleep(20_000)
    expect([...(sea.machine('n2').document?.members.keys() ?? [])]).toEqual(['n2', 'n3', 'n4'])
    expect(sea.conflicts).toEqual([])
  }))

test('a node that leaves goes by that only once a majority of those who stay knows it', () =>
  inSea(async (sea) => {
    await sea.begin(['n1', 'n2', 'n3', 'n4'])
    await sea.member('n1').stage({ kind: 'leave', node: 'n4' })
    await sea.member('n1').commit(sea.member('n1').plan())
    const known: number[] = []
    sea.member('n4').events.on('changed', ({ epoch, members }) => {
      const others = ['n1', 'n2', 'n3'].filter((name) => (sea.machine(name).document?.epoch ?? 0) >= epoch)
      if (!members.has('n4')) known.push(others.length)
    })
    await sea.world.runtime('test').clock.sleep(20_000)
    expect(known).toHaveLength(1)
    expect(known[0]).toBeGreaterThanOrEqual(2)
  }))

test('a plan that is stale is refused', () =>
  inSea(async (sea) => {
    await sea.begin(['n1', 'n2', 'n3'])
    await sea.member('n1').stage({ kind: 'leave', node: 'n3' })
    const plan = sea.member('n1').plan()
    await sea.member('n1').propose((document) => setBucketType(document, type('t')))
    await sea.member('n2').propose((document) => markDown(document, 'n2'))
    await expect(sea.member('n1').commit(plan)).rejects.toMatchObject({ code: 'ATOLL_STALE_PLAN' })
  }))

test('a minority decides nothing, and learns what the majority has decided', () =>
  inSea(async (sea) => {
    await sea.begin(NODES)
    sea.split(['n1', 'n2'], ['n3', 'n4', 'n5'])
    const lost = sea
      .member('n1')
      .propose((document) => setBucketType(document, type('lost')), { timeoutMs: 3000 })
    await expect(lost).rejects.toMatchObject({ code: 'ATOLL_QUORUM_UNMET', definite: true })
    expect(sea.machine('n2').document?.epoch).toBe(1)
    const { epoch } = await sea.member('n5').propose((document) => setBucketType(document, type('kept')))
    expect(epoch).toBe(2)
    sea.network.heal()
    expect(await sea.converge()).toBe(true)
    expect([...(sea.machine('n1').document?.bucketTypes.keys() ?? [])]).toEqual(['kept'])
    expect(sea.conflicts).toEqual([])
  }))

test('proposals of all nodes at one time are all decided, one after the other', () =>
  inSea(async (sea) => {
    await sea.begin(NODES)
    await Promise.all(
      NODES.map((node) => sea.member(node).propose((document) => setBucketType(document, type(node)))),
    )
    expect(await sea.converge()).toBe(true)
    expect(sea.machine('n1').document).toMatchObject({ epoch: 6 })
    expect([...(sea.machine('n1').document?.bucketTypes.keys() ?? [])].sort()).toEqual(NODES)
  }))

test('a proposal that is decided in its last round is not given up', () =>
  inSea(
    async (sea) => {
      await sea.begin(['n1', 'n2', 'n3'])
      const { epoch } = await sea.member('n1').propose((document) => setBucketType(document, type('t')))
      expect(epoch).toBe(2)
    },
    new Sea(1, { limits: { maxRounds: 1 } }),
  ))

const DELAY_MS = 8

test('whoever gives up does not know of a vote that is too long ago, whatever became of later ones', () =>
  inSea(
    async (sea) => {
      await sea.begin(['n1', 'n2', 'n3'])
      // Everybody is connected, and knows the same.
      await sea.member('n1').propose((document) => setBucketType(document, type('first')))
      expect(await sea.converge()).toBe(true)
      const { clock } = sea.world.runtime('test')
      const edit = (document: ClusterDocument) => setBucketType(document, type(`at-${document.epoch}`))
      const given = sea.member('n1').propose(edit, { timeoutMs: 20_000 })
      const outcome = given.then(
        () => expect.unreachable('n1 hears no answer'),
        (error: unknown) => error,
      )
      // The answers to its second question are lost.
      await clock.sleep(DELAY_MS * 2.75)
      sea.split(['n2', 'n3'], ['n1'], { oneWay: true })
      await clock.sleep(DELAY_MS * 2)
      sea.split(['n1'], ['n2', 'n3'])
      for (let n = 0; n < 40; n++)
        await sea.member('n2').propose((document) => setBucketType(document, type(`t${n}`)))
      const document = sea.machine('n2').document!
      expect([...document.bucketTypes.keys()]).toContain('at-2')
      // It hears of what was decided, though nobody hears it.
      await sea.member('n1').learn(encodeDocument(document))
      for (let n = 0; n < 20; n++) {
        await sea.member('n2').propose((known) => setBucketType(known, type(`u${n}`)))
        await sea.member('n1').learn(sea.member('n2').bytes!)
        await clock.sleep(100)
      }
      expect(await outcome).toMatchObject({ code: 'ATOLL_QUORUM_UNMET', definite: false })
    },
    new Sea(1, { network: { delayMs: { min: DELAY_MS, max: DELAY_MS } } }),
  ))

test('an edit that changes nothing makes no epoch, and one that throws rejects', () =>
  inSea(async (sea) => {
    await sea.begin(['n1', 'n2', 'n3'])
    expect(await sea.member('n1').propose((document) => document)).toMatchObject({ epoch: 1 })
    const wrong = sea.member('n1').stage({ kind: 'leave', node: 'n9' })
    await expect(wrong).rejects.toMatchObject({ code: 'ATOLL_CHANGE_REFUSED' })
    expect(sea.machine('n1').document?.epoch).toBe(1)
  }))

/** Two of four are said to be down though they are up, and then one of the two voters that are left loses its disk. */
async function loseVoter(sea: Sea): Promise<void> {
  await sea.begin(['n1', 'n2', 'n3', 'n4'])
  for (const node of ['n2', 'n4']) await sea.member('n1').propose((document) => markDown(document, node))
  expect(await sea.converge()).toBe(true)
  await sea.machine('n1').crash()
  sea.world.disk('n1').wipe()
  await sea.machine('n1').start()
}

test('members that are marked down, and are there, make up for a voter that has lost its data', () =>
  inSea(async (sea) => {
    await loseVoter(sea)
    for (const node of ['n2', 'n4']) await sea.member(node).propose((document) => markUp(document, node))
    const id = sea.machine('n1').membership?.id ?? ''
    await sea.member('n3').stage({ kind: 'force-replace', node: 'n1', by: 'n1', id })
    await sea.member('n3').commit(sea.member('n3').plan())
    expect(await sea.converge()).toBe(true)
    expect(votersOf(sea.member('n4').document!)).toEqual(['n1', 'n2', 'n3', 'n4'])
    expect(sea.conflicts).toEqual([])
  }))

test('they decide nothing without a voter, nor without a majority of all, and the refusal says what to force', () =>
  inSea(async (sea) => {
    await loseVoter(sea)
    const up = (node: string) => sea.member(node).propose((document) => markUp(document, node))
    sea.split(['n1', 'n3'], ['n2', 'n4'])
    await expect(up('n2')).rejects.toMatchObject({ code: 'ATOLL_QUORUM_UNMET', definite: true })
    sea.network.heal()
    await sea.machine('n4').crash()
    const { message } = await up('n2').then(
      () => expect.unreachable('two of four are too few'),
      (error: Error) => error,
    )
    expect(message).toContain('Start n1, n4 with the data that they had')
    expect(message).toMatch(/force the change on n3 with missing: n1: one that has lost its data/)
    // A reason is cut behind 1000 characters, here within the last one.
    const reason = `${'its disk is new '.padEnd(999, '.')}\u{1f600}`
    const forced = await sea.member('n3').force((document) => document, { missing: ['n1'], reason })
    expect(forced.forced.at(-1)?.reason).toBe(`${reason.slice(0, 999)}\ufffd`)
    expect(await sea.converge()).toBe(true)
    await up('n2')
    expect(await sea.converge()).toBe(true)
    expect(sea.conflicts).toEqual([])
  }))

test('a forced change is refused while a majority is left, and else recorded and obeyed', () =>
  inSea(async (sea) => {
    await sea.begin(NODES)
    const edit = (document: ClusterDocument) => setBucketType(document, type('forced'))
    const early = sea.member('n1').force(edit, { missing: ['n4', 'n5'], reason: 'fire' })
    await expect(early).rejects.toMatchObject({ code: 'ATOLL_CHANGE_REFUSED' })
    for (const node of ['n3', 'n4', 'n5']) await sea.machine(node).crash()
    const forced = await sea.member('n1').force(edit, { missing: ['n3', 'n4', 'n5'], reason: 'fire' })
    expect(forced).toMatchObject({
      epoch: 1_000_001,
      forced: [{ by: 'n1', missing: ['n3', 'n4', 'n5'], reason: 'fire' }],
    })
    expect(forced.members.get('n4')?.state).toBe('down')
    expect(await sea.converge()).toBe(true)
    expect((await sea.member('n2').propose((document) => setBucketType(document, type('next')))).epoch).toBe(
      1_000_002,
    )
    await sea.machine('n4').start()
    expect(await sea.converge()).toBe(true)
    expect(sea.machine('n4').document?.epoch).toBe(1_000_002)
  }))

test('two forced documents of one epoch are noticed, and the same one is kept everywhere', () =>
  inSea(async (sea) => {
    await sea.begin(['n1', 'n2'])
    sea.split(['n1'], ['n2'])
    for (const [node, missing] of [
      ['n1', 'n2'],
      ['n2', 'n1'],
    ] as const)
      await sea.member(node).force((document) => document, { missing: [missing], reason: 'alone' })
    sea.network.heal()
    expect(await sea.converge()).toBe(true)
    expect(sea.conflicts).toEqual([1_000_001])
    const count = ['n1', 'n2'].map((node) =>
      sea.machine(node).runtime.metrics.value('atoll_membership_conflicts_total'),
    )
    expect(Math.max(...count)).toBeGreaterThan(0)
  }))

test('a wiped disk is refused under its old name until it is staged as new', () =>
  inSea(async (sea) => {
    await sea.begin(['n1', 'n2', 'n3'])
    await sea.machine('n3').crash()
    sea.world.disk('n3').wipe()
    const { id } = await sea.machine('n3').start()
    const join = () => sea.member('n3').join({ seeds: ['n9', 'n1'], address: 'n3:1', timeoutMs: 3000 })
    await expect(join()).rejects.toMatchObject({
      code: 'ATOLL_CHANGE_REFUSED',
      details: { node: 'n3', id },
      message: expect.stringMatching(
        /n3 is a member with other data; start it with its data, or stage a force-replace/,
      ),
    })
    await sea.member('n1').stage({ kind: 'force-replace', node: 'n3', by: 'n3', id })
    await sea.member('n1').commit(sea.member('n1').plan())
    expect(await join()).toMatchObject({ epoch: expect.any(Number) })
    expect(sea.member('n3').isMember).toBe(true)
  }))

test('documents of another cluster are refused and counted, and rubbish is not read', () =>
  inSea(async (sea) => {
    await sea.begin(['n1'])
    const own = sea.member('n1')
    const members = [{ node: 'n1', id: own.id, address: 'n1:1' }]
    const foreign = encodeDocument(firstDocument({ clusterId: 'other', members }))
    await expect(own.learn(foreign)).rejects.toMatchObject({ code: 'ATOLL_PROTOCOL' })
    await expect(own.learn(new Uint8Array([1, 2, 3]))).rejects.toMatchObject({ code: 'ATOLL_CORRUPT' })
    expect(sea.machine('n1').runtime.metrics.value('atoll_membership_refused_total')).toBe(1)
    await expect(own.bootstrap(firstDocument({ clusterId: 'other', members }))).rejects.toMatchObject({
      code: 'ATOLL_CHANGE_REFUSED',
    })
    const stranger = await sea.machine('n2').start()
    await expect(stranger.learn(own.bytes ?? foreign)).rejects.toMatchObject({ code: 'ATOLL_CHANGE_REFUSED' })
    await expect(stranger.propose((document) => document)).rejects.toMatchObject({
      code: 'ATOLL_CHANGE_REFUSED',
    })
  }))

test('a caller can give up, and a node that closes lets nobody wait', () =>
  inSea(async (sea) => {
    await sea.begin(['n1', 'n2', 'n3'])
    sea.split(['n1'], ['n2', 'n3'])
    const controller = new AbortController()
    const edit = (document: ClusterDocument) => setBucketType(document, type('t'))
    const given = sea.member('n1').propose(edit, { signal: controller.signal })
    sea.world.schedule(500, 'give up', () => controller.abort(new Error('enough')))
    await expect(given).rejects.toMatchObject({ code: 'ATOLL_ABORTED', definite: true })
    const closed = sea.member('n1').propose(edit)
    const close = sea.member('n1').close()
    await expect(closed).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
    await close
    await expect(sea.member('n1').propose(edit)).rejects.toMatchObject({ code: 'ATOLL_CLOSED' })
  }))
