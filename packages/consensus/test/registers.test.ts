import { fromUtf8, isAtollError, utf8 } from '@atoll/core'
import { createWorld } from '@atoll/sim'
import { expect, test } from 'vitest'
import { AcceptorHost, type AcceptorState, type Acceptors, Registers } from '../src/index.ts'

const REGISTER = utf8('register')
const NODES = ['n1', 'n2', 'n3', 'n4', 'n5']

interface Done {
  readonly id: string
  readonly invokedMs: number
  readonly returnedMs: number
  readonly seen: readonly string[]
}

/** Acceptors behind a network that delays every message and loses some, requests and answers alike. */
function lossyAcceptors(world: ReturnType<typeof createWorld>, lossPermille: number): Acceptors {
  const hosts = new Map(NODES.map((node) => [node, hostOf(world)]))
  const { random, clock } = world.runtime('network')
  const travel = async () => {
    await clock.sleep(1 + random.below(20))
    if (random.below(1000) < lossPermille) throw new Error('lost')
  }
  const via = async <Reply>(node: string, ask: (host: AcceptorHost) => Promise<Reply>): Promise<Reply> => {
    await travel()
    const reply = await ask(hosts.get(node)!)
    await travel()
    return reply
  }
  return {
    prepare: (node, register, ballot) => via(node, (host) => host.prepare(register, ballot)),
    accept: (node, register, proposal) => via(node, (host) => host.accept(register, proposal)),
  }
}

function hostOf(world: ReturnType<typeof createWorld>): AcceptorHost {
  let stored: AcceptorState | undefined
  const { clock } = world.runtime('disk')
  return new AcceptorHost({
    storage: {
      load: () => Promise.resolve(stored),
      save: async (_, state) => {
        await clock.sleep(1)
        stored = state
      },
    },
  })
}

async function appendConcurrently(
  seed: number,
  lossPermille: number,
): Promise<{ done: Done[]; unknown: string[] }> {
  const world = createWorld({ seed })
  const acceptors = lossyAcceptors(world, lossPermille)
  const done: Done[] = []
  const unknown: string[] = []
  await world.run(async () => {
    const proposers = ['a', 'b', 'c', 'd'].map(async (proposer) => {
      const runtime = world.runtime(proposer)
      const registers = new Registers(runtime, { acceptors }, { proposer })
      for (let n = 0; n < 5; n++) {
        const id = `${proposer}${n}`
        const invokedMs = world.nowMs
        const append = (current: Uint8Array | undefined) => {
          const ids = current === undefined ? [] : fromUtf8(current).split(' ')
          return utf8((ids.includes(id) ? ids : [...ids, id]).join(' '))
        }
        try {
          const value = await registers.change(REGISTER, append, { acceptors: NODES })
          done.push({ id, invokedMs, returnedMs: world.nowMs, seen: fromUtf8(value ?? utf8('')).split(' ') })
        } catch (error) {
          if (!isAtollError(error)) throw error
          if (!error.definite) unknown.push(id)
        }
        await runtime.clock.sleep(runtime.random.below(30))
      }
    })
    await Promise.all(proposers)
  })
  return { done, unknown }
}

/** Appending is linearizable if the lists seen are prefixes of one list, in which whoever returned earlier comes earlier. */
function checkLinearizable(done: readonly Done[], unknown: readonly string[]): void {
  const longest = done.reduce(
    (best, { seen }) => (seen.length > best.length ? seen : best),
    [] as readonly string[],
  )
  const known = new Set([...done.map(({ id }) => id), ...unknown])
  for (const id of longest) expect(known).toContain(id)
  for (const operation of done) {
    expect(operation.seen).toEqual(longest.slice(0, operation.seen.length))
    expect(operation.seen).toContain(operation.id)
    for (const earlier of done) {
      if (earlier.returnedMs < operation.invokedMs) expect(operation.seen).toContain(earlier.id)
    }
  }
}

test.each([0, 50, 200])(
  'changes are linearizable with %i permille of messages lost',
  async (lossPermille) => {
    let completed = 0
    for (let seed = 1; seed <= 25; seed++) {
      const { done, unknown } = await appendConcurrently(seed, lossPermille)
      checkLinearizable(done, unknown)
      completed += done.length
    }
    expect(completed).toBeGreaterThan(100)
  },
)

test('a change that no majority answers fails, and says that it did not happen', async () => {
  const world = createWorld({ seed: 1 })
  const acceptors = lossyAcceptors(world, 1000)
  const registers = new Registers(world.runtime('a'), { acceptors }, { proposer: 'a' })
  const change = world.run(() => registers.change(REGISTER, () => utf8('x'), { acceptors: NODES }))
  await expect(change).rejects.toMatchObject({ code: 'ATOLL_QUORUM_UNMET', definite: true })
})

test('reading a register that was never written gives nothing', async () => {
  const world = createWorld({ seed: 1 })
  const registers = new Registers(
    world.runtime('a'),
    { acceptors: lossyAcceptors(world, 0) },
    { proposer: 'a' },
  )
  expect(
    await world.run(() => registers.change(REGISTER, (current) => current, { acceptors: NODES })),
  ).toBeUndefined()
})

test('one proposer never gives a ballot to two attempts, neither of one call nor of several at once', async () => {
  const world = createWorld({ seed: 3 })
  const inner = lossyAcceptors(world, 200)
  const values = new Map<string, Set<string>>()
  const acceptors: Acceptors = {
    prepare: inner.prepare,
    accept: (node, register, proposal, signal) => {
      const ballot = `${proposal.ballot.counter} ${proposal.ballot.proposer}`
      values.set(ballot, (values.get(ballot) ?? new Set()).add(fromUtf8(proposal.value)))
      return inner.accept(node, register, proposal, signal)
    },
  }
  await world.run(async () => {
    const registers = new Registers(world.runtime('a'), { acceptors }, { proposer: 'a' })
    const calls = Array.from({ length: 20 }, (_, at) =>
      registers.change(REGISTER, () => utf8(`value ${at}`), { acceptors: NODES }).catch(() => undefined),
    )
    await Promise.all(calls)
  })
  expect(values.size).toBeGreaterThan(5)
  for (const proposed of values.values()) expect(proposed.size).toBe(1)
})
