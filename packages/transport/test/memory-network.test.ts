import { fromUtf8, utf8 } from '@atoll/core'
import { type Connection, MemoryNetwork, type MemoryNetworkOptions } from '@atoll/transport'
import { describe, expect, test } from 'vitest'
import { createTestWorld, outcome, settle } from './world.ts'

const SOON = { timeoutMs: 100 }

function say(connection: Connection, word: string): void {
  void connection.send({ head: utf8(word) })
}

/** Writes down what arrives, and the end. */
function record(connection: Connection): string[] {
  const seen: string[] = []
  connection.onFrame = (frame) => seen.push(fromUtf8(frame.head))
  connection.onClose = (reason) => seen.push(reason === undefined ? 'closed' : 'broken')
  return seen
}

/** Two ends of a connection from a to b. */
async function connected(options: MemoryNetworkOptions = {}, seed = 1) {
  const world = createTestWorld(seed)
  const network = new MemoryNetwork(world.runtime)
  const accepted: Connection[] = []
  const listener = await network.transport('b').listen('b', (connection) => accepted.push(connection))
  const near = await network.transport('a').connect('b', SOON)
  network.configure(options)
  return { ...world, network, listener, accepted, near, far: accepted[0]! }
}

describe('the network in memory', () => {
  test('hands a frame over without a timer, and without a copy', async () => {
    const { near, far, clock } = await connected()
    const body = new Uint8Array(10)
    const seen: unknown[] = []
    far.onFrame = (frame) => seen.push(frame.body)
    void near.send({ head: utf8('x'), body })
    await Promise.resolve()
    expect(seen[0]).toBe(body)
    expect(clock.pending).toBe(0)
  })

  test('repeats a frame as it was, whatever becomes of its bytes once it has arrived', async () => {
    const { near, far, clock } = await connected({
      duplicatePerMillion: 1_000_000,
      delayMs: { min: 1, max: 40 },
    })
    const body = new Uint8Array(10).fill(7)
    const seen: number[][] = []
    far.onFrame = (frame) => {
      seen.push([...(frame.body ?? [])])
      body.fill(0xdd)
    }
    void near.send({ head: utf8('x'), body })
    await clock.advance(100)
    expect(seen).toEqual([new Array(10).fill(7), new Array(10).fill(7)])
  })

  test('keeps the order of frames whatever their delays', async () => {
    const { near, far, clock, network } = await connected({ delayMs: { min: 0, max: 50 } })
    const seen = record(far)
    const sent = Array.from({ length: 200 }, (_, at) => `${at}`)
    for (const word of sent.slice(0, 150)) say(near, word)
    network.configure({ delayMs: { min: 0, max: 0 } })
    for (const word of sent.slice(150)) say(near, word)
    await clock.advance(25)
    expect(seen.length).toBeLessThan(200)
    await clock.advance(50)
    expect(seen).toEqual(sent)
  })

  test('delivers each frame no earlier than its delay', async () => {
    const { near, far, clock, network } = await connected()
    const seen = record(far)
    say(near, 'at once')
    network.configure({ delayMs: { min: 20, max: 30 } })
    say(near, 'later')
    await clock.advance(19)
    expect(seen).toEqual(['at once'])
    await clock.advance(12)
    expect(seen).toEqual(['at once', 'later'])
  })

  test('does the same for the same seed, and something else for another', async () => {
    const run = async (seed: number) => {
      const { near, far, clock } = await connected(
        { delayMs: { min: 1, max: 40 }, lossPerMillion: 200_000, duplicatePerMillion: 200_000 },
        seed,
      )
      const seen: string[] = []
      far.onFrame = (frame) => seen.push(`${fromUtf8(frame.head)}@${clock.monotonicMs()}`)
      for (let at = 0; at < 50; at++) {
        say(near, `${at}`)
        await clock.advance(3)
      }
      await clock.advance(100)
      return seen
    }
    expect(await run(7)).toEqual(await run(7))
    expect(await run(7)).not.toEqual(await run(8))
  })

  test('loses and repeats frames at about the rates asked for', async () => {
    const { near, far } = await connected({ lossPerMillion: 100_000, duplicatePerMillion: 50_000 })
    const seen = record(far)
    for (let at = 0; at < 10_000; at++) say(near, `${at}`)
    await settle()
    const different = new Set(seen).size
    expect(10_000 - different).toBeGreaterThan(800)
    expect(10_000 - different).toBeLessThan(1200)
    expect(seen.length - different).toBeGreaterThan(350)
    expect(seen.length - different).toBeLessThan(550)
  })

  test('asks for patience past its high water, and has room again once frames arrived', async () => {
    const { near, far, clock } = await connected({ highWaterBytes: 100, delayMs: { min: 10, max: 10 } })
    record(far)
    expect(near.send({ head: new Uint8Array(100) })).toBeUndefined()
    const patience = near.send({ head: new Uint8Array(1) })!
    expect((await outcome(patience)).pending).toBe(true)
    await clock.advance(11)
    expect((await outcome(patience)).pending).toBeUndefined()
    expect(near.send({ head: new Uint8Array(1) })).toBeUndefined()
  })

  test('keeps frames and the end for whoever listens a little later', async () => {
    const { near, far } = await connected()
    say(near, 'early')
    near.close()
    await settle()
    const seen = record(far)
    await settle()
    expect(seen).toEqual(['early', 'closed'])
  })
})

describe('a partition', () => {
  test('swallows frames both ways or one way, and leaves connections open', async () => {
    const { near, far, network } = await connected()
    const [nearSeen, farSeen] = [record(near), record(far)]
    const exchange = async (word: string) => {
      say(near, word)
      say(far, word)
      await settle()
    }
    network.partition(['a'], ['b'])
    await exchange('none')
    network.heal()
    network.partition(['a'], ['b'], { oneWay: true })
    await exchange('back')
    network.heal()
    await exchange('both')
    expect({ nearSeen, farSeen }).toEqual({ nearSeen: ['back', 'both'], farSeen: ['both'] })
  })

  test('also swallows what is on its way when it begins', async () => {
    const { near, far, network, clock } = await connected({ delayMs: { min: 10, max: 10 } })
    const seen = record(far)
    say(near, 'lost')
    network.partition(['a'], ['b'])
    await clock.advance(20)
    network.heal()
    say(near, 'found')
    await clock.advance(20)
    expect(seen).toEqual(['found'])
  })

  test('lets connects time out, or stand once it heals', async () => {
    const { network, clock, accepted } = await connected()
    network.partition(['a'], ['b'])
    const late = network
      .transport('a')
      .connect('b', SOON)
      .catch((e) => e)
    await clock.advance(101)
    expect(await late).toMatchObject({ code: 'ATOLL_UNREACHABLE', definite: true })
    const patient = network.transport('a').connect('b', SOON)
    await clock.advance(50)
    network.heal()
    expect((await patient).peer).toBe('b')
    expect(accepted.length).toBe(2)
    await clock.advance(100)
    expect(clock.pending).toBe(0)
  })

  test('hides the end of a connection, until the other side says something after it', async () => {
    const { near, far, network } = await connected()
    const seen = record(far)
    network.partition(['a'], ['b'])
    near.close()
    await settle()
    network.heal()
    await settle()
    expect(seen).toEqual([])
    say(far, 'hello?')
    await settle()
    expect(seen).toEqual(['broken'])
  })

  test('that begins on the way back of a connect leaves no connection behind', async () => {
    const world = createTestWorld()
    const network = new MemoryNetwork(world.runtime, { delayMs: { min: 10, max: 10 } })
    const ends: string[][] = []
    await network.transport('b').listen('b', (connection) => ends.push(record(connection)))
    const late = network
      .transport('a')
      .connect('b', SOON)
      .catch((e) => e)
    await world.clock.advance(15)
    network.partition(['b'], ['a'], { oneWay: true })
    await world.clock.advance(120)
    expect(await late).toMatchObject({ code: 'ATOLL_UNREACHABLE' })
    expect(ends).toEqual([['closed']])
  })
})

describe('a cut', () => {
  test('breaks the connections of an address on both sides, and loses what is on the way', async () => {
    const { near, far, network, clock } = await connected({ delayMs: { min: 10, max: 10 } })
    const [nearSeen, farSeen] = [record(near), record(far)]
    say(near, 'to the dead')
    say(far, 'from the dead')
    network.cut('b')
    await clock.advance(30)
    expect({ nearSeen, farSeen }).toEqual({ nearSeen: ['broken'], farSeen: ['broken'] })
    expect(near.send({ head: utf8('anyone?') })).toBeUndefined()
  })

  test('refuses connects in both directions until it is restored', async () => {
    const { network } = await connected()
    await network.transport('a').listen('a', () => {})
    network.cut('b')
    await expect(network.transport('a').connect('b', SOON)).rejects.toMatchObject({
      code: 'ATOLL_UNREACHABLE',
    })
    await expect(network.transport('b').connect('a', SOON)).rejects.toMatchObject({
      code: 'ATOLL_UNREACHABLE',
    })
    network.restore('b')
    expect((await network.transport('a').connect('b', SOON)).peer).toBe('b')
  })

  test('lets a process started anew take the address of the one that died', async () => {
    const { network, listener } = await connected()
    await expect(network.transport('b').listen('b', () => {})).rejects.toMatchObject({ code: 'ATOLL_LOCKED' })
    network.cut('b')
    network.restore('b')
    const accepted: Connection[] = []
    await network.transport('b').listen('b', (connection) => accepted.push(connection))
    await listener.close()
    await network.transport('a').connect('b', SOON)
    expect(accepted.length).toBe(1)
  })

  test('in a partition is not noticed on the other side before it heals', async () => {
    const { near, network } = await connected()
    const seen = record(near)
    network.partition(['a'], ['b'])
    network.cut('b')
    await settle()
    expect(seen).toEqual([])
    network.heal()
    say(near, 'hello?')
    await settle()
    expect(seen).toEqual(['broken'])
  })
})

test('a reset breaks the connections of an address, and new ones can be made at once', async () => {
  const { near, far, network } = await connected()
  const ends = [record(near), record(far)]
  network.reset(['c'])
  await settle()
  expect(ends).toEqual([[], []])
  network.reset(['b'])
  await settle()
  expect(ends).toEqual([['broken'], ['broken']])
  expect((await network.transport('a').connect('b', SOON)).peer).toBe('b')
})

test('what arrives at a frozen address waits, in order, and a connect gets no answer', async () => {
  const { near, far, network, clock } = await connected({ delayMs: { min: 0, max: 20 } })
  const [nearSeen, farSeen] = [record(near), record(far)]
  network.freeze('b')
  for (const word of ['one', 'two', 'three']) say(near, word)
  say(far, 'still on its way')
  const late = network
    .transport('a')
    .connect('b', SOON)
    .catch((error: unknown) => error)
  await clock.advance(200)
  expect({ nearSeen, farSeen }).toEqual({ nearSeen: ['still on its way'], farSeen: [] })
  expect(await late).toMatchObject({ code: 'ATOLL_UNREACHABLE' })
  network.thaw('b')
  expect(farSeen).toEqual(['one', 'two', 'three'])
})

test('options are checked, and a bad one changes nothing', async () => {
  const { network, near, far } = await connected()
  const seen = record(far)
  expect(() => network.configure({ lossPerMillion: 1_000_001 })).toThrow(/lossPerMillion .* got 1000001/)
  expect(() => network.configure({ lossPerMillion: 1_000_000, delayMs: { min: 5, max: 4 } })).toThrow(
    RangeError,
  )
  // @ts-expect-error A misspelt option.
  expect(() => network.configure({ lossPercent: 1 })).toThrow(TypeError)
  say(near, 'x')
  await settle()
  expect(seen).toEqual(['x'])
})
