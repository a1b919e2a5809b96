import { fromUtf8, utf8 } from '@atoll/core'
import { Prng } from '@atoll/sim'
import { expect, test } from 'vitest'
import { type AcceptorState, accept, EMPTY_ACCEPTOR, prepare } from '../src/acceptor.ts'
import { type Ballot, nextBallot } from '../src/ballot.ts'
import {
  type AttemptState,
  beginAttempt,
  type Electorate,
  type ProposerEvent,
  type RegisterChange,
  stepAttempt,
} from '../src/proposer.ts'

/**
 * A request under way to an acceptor. It is handled and answered in one step: a proposer that gets its answer later
 * does what it would have done at once, only later, and that is what its own requests being late amounts to.
 */
type Message =
  | { kind: 'prepare'; proposer: string; to: string; ballot: Ballot }
  | { kind: 'accept'; proposer: string; to: string; ballot: Ballot; value: string }

interface Answer {
  readonly proposer: string
  readonly ballot: Ballot
  readonly event: ProposerEvent
}

interface World {
  readonly acceptors: Readonly<Record<string, AcceptorState>>
  readonly attempts: Readonly<Record<string, AttemptState>>
  readonly messages: readonly Message[]
  /** What each proposer was told is the value. */
  readonly decided: Readonly<Record<string, string>>
  readonly attemptsLeft: Readonly<Record<string, number>>
  readonly lossesLeft: number
  /**
   * Proposers that count some acceptors as forgetful: of an odd number of acceptors then all have to agree, or a
   * majority of the others.
   */
  readonly unanimous: readonly string[]
  /** Acceptors that lose all that they have promised and accepted, at any time. */
  readonly forgetfulLeft: readonly string[]
  /** Whom these proposers count so. */
  readonly counted: readonly string[]
  /** Those that have, and answer only who counts them so; undefined where they answer everybody as if nothing were lost. */
  readonly forgotten: readonly string[] | undefined
}

const ACCEPTORS = ['x', 'y', 'z']

/** Every proposer adds its name to the value, once. */
function appendName(proposer: string): RegisterChange {
  return (current) => {
    const names = current === undefined ? '' : fromUtf8(current)
    return utf8(names.includes(proposer) ? names : names + proposer)
  }
}

function begin(world: World, proposer: string, seen: Ballot | undefined): World {
  const ballot = nextBallot(proposer, seen)
  const requests = Object.keys(world.acceptors).map(
    (to): Message => ({ kind: 'prepare', proposer, to, ballot }),
  )
  return {
    ...world,
    attempts: {
      ...world.attempts,
      [proposer]: beginAttempt(ballot, electorateOf(world, proposer), appendName(proposer)),
    },
    messages: [...world.messages, ...requests],
  }
}

function electorateOf({ acceptors, unanimous, counted }: World, proposer: string): Electorate {
  return { acceptors: Object.keys(acceptors), ...(unanimous.includes(proposer) && { forgetful: counted }) }
}

/** The acceptor does what it is asked; the answer may be lost on its way back. */
function handle(world: World, message: Message): { world: World; answer: Answer } {
  const { proposer, ballot, to } = message
  const before = world.acceptors[to]!
  if (world.forgotten?.includes(to) && !world.unanimous.includes(proposer)) {
    const event: ProposerEvent = { kind: 'failed', from: to, phase: message.kind }
    return { world, answer: { proposer, ballot, event } }
  }
  if (message.kind === 'prepare') {
    const { state, reply } = prepare(before, ballot)
    const event: ProposerEvent = { kind: 'prepared', from: to, reply }
    return { world: withAcceptor(world, to, state), answer: { proposer, ballot, event } }
  }
  const { state, reply } = accept(before, { ballot, value: utf8(message.value) })
  const event: ProposerEvent = { kind: 'accepted', from: to, reply }
  return { world: withAcceptor(world, to, state), answer: { proposer, ballot, event } }
}

function withAcceptor(world: World, name: string, state: AcceptorState): World {
  return { ...world, acceptors: { ...world.acceptors, [name]: state } }
}

function hear(world: World, { proposer, ballot, event }: Answer): World {
  const attempt = world.attempts[proposer]!
  if (attempt.ballot.counter !== ballot.counter) return world
  const { state, decision } = stepAttempt(attempt, event)
  const next = { ...world, attempts: { ...world.attempts, [proposer]: state } }
  if (decision.kind === 'propose') {
    const value = fromUtf8(decision.proposal.value)
    const requests = Object.keys(world.acceptors).map(
      (to): Message => ({ kind: 'accept', proposer, to, ballot, value }),
    )
    return { ...next, messages: [...next.messages, ...requests] }
  }
  if (decision.kind === 'decided') {
    return { ...next, decided: { ...next.decided, [proposer]: fromUtf8(decision.value ?? utf8('')) } }
  }
  const left = next.attemptsLeft[proposer]!
  if (decision.kind === 'preempted' && left > 0) {
    const attemptsLeft = { ...next.attemptsLeft, [proposer]: left - 1 }
    return begin({ ...next, attemptsLeft }, proposer, decision.promised)
  }
  return next
}

function* successors(world: World): Generator<World> {
  for (const name of world.forgetfulLeft) {
    const forgetfulLeft = world.forgetfulLeft.filter((other) => other !== name)
    const forgotten = world.forgotten && [...world.forgotten, name].sort()
    yield withAcceptor({ ...world, forgetfulLeft, forgotten }, name, EMPTY_ACCEPTOR)
  }
  for (const [at, message] of world.messages.entries()) {
    const rest = { ...world, messages: world.messages.filter((_, other) => other !== at) }
    const { world: handled, answer } = handle(rest, message)
    yield hear(handled, answer)
    if (world.lossesLeft === 0) continue
    const lost: Answer = {
      ...answer,
      event: { kind: 'failed', from: message.to, phase: message.kind },
    }
    yield hear({ ...rest, lossesLeft: world.lossesLeft - 1 }, lost)
    yield hear({ ...handled, lossesLeft: world.lossesLeft - 1 }, lost)
  }
}

/** Two worlds of one fingerprint have the same future. */
function fingerprint(world: World): string {
  const acceptors = Object.values(world.acceptors)
  const attempts = Object.values(world.attempts).map(({ agreed, failed, ...rest }) => ({
    ...rest,
    agreed: [...agreed].sort(),
    failed: [...failed].sort(),
  }))
  const messages = world.messages.map((message) => JSON.stringify(message)).sort()
  const { decided, attemptsLeft, lossesLeft, forgetfulLeft, forgotten } = world
  const memory = [lossesLeft, forgetfulLeft, forgotten]
  const value = (_: string, field: unknown) => (field instanceof Uint8Array ? fromUtf8(field) : field)
  return JSON.stringify([acceptors, attempts, messages, decided, attemptsLeft, ...memory], value)
}

function explore(start: World, check: (world: World) => void): number {
  const visited = new Set<string>([fingerprint(start)])
  const todo = [start]
  for (let world = todo.pop(); world !== undefined; world = todo.pop()) {
    check(world)
    for (const next of successors(world)) {
      const id = fingerprint(next)
      if (visited.has(id)) continue
      if (visited.size > 400_000) throw new Error('the case is too large to be explored whole')
      visited.add(id)
      todo.push(next)
    }
  }
  return visited.size
}

interface Limits {
  readonly retries: number
  readonly losses: number
  readonly unanimous?: readonly string[]
  readonly forgetful?: readonly string[]
  readonly careless?: boolean
  readonly acceptors?: readonly string[]
}

function startWorld(proposers: readonly string[], limits: Limits): World {
  const empty: World = {
    acceptors: Object.fromEntries((limits.acceptors ?? ACCEPTORS).map((name) => [name, EMPTY_ACCEPTOR])),
    attempts: {},
    messages: [],
    decided: {},
    attemptsLeft: Object.fromEntries(proposers.map((name) => [name, limits.retries])),
    lossesLeft: limits.losses,
    unanimous: limits.unanimous ?? [],
    counted: limits.forgetful ?? [],
    forgetfulLeft: limits.forgetful ?? [],
    forgotten: limits.careless ? undefined : [],
  }
  return proposers.reduce((world, proposer) => begin(world, proposer, undefined), empty)
}

/** Decided values form a chain, and each holds the name of the proposer to whom it was promised. */
function checkChain({ decided }: World): void {
  const values = Object.entries(decided)
  for (const [proposer, value] of values) {
    expect(value).toContain(proposer)
    for (const [, other] of values) expect(value.startsWith(other) || other.startsWith(value)).toBe(true)
  }
}

test('two proposers agree in every order of messages', () => {
  expect(explore(startWorld(['a', 'b'], { retries: 0, losses: 0 }), checkChain)).toBeGreaterThan(1000)
})

test('they agree when one message is lost, in every order', () => {
  explore(startWorld(['a', 'b'], { retries: 0, losses: 1 }), checkChain)
})

test('a lone proposer always decides, whatever the order', () => {
  let ends = 0
  explore(startWorld(['a'], { retries: 0, losses: 0 }), (world) => {
    if (world.messages.length > 0) return
    ends += 1
    expect(world.decided).toEqual({ a: 'a' })
  })
  expect(ends).toBeGreaterThan(0)
})

test('an acceptor that has lost its votes, and gives them again, lets two proposers disagree', () => {
  const careless = startWorld(['a', 'b'], { retries: 0, losses: 0, forgetful: ['z'], careless: true })
  expect(() => explore(careless, checkChain)).toThrow()
})

test('one that answers only who counts it as forgetful does not, whenever it loses them', () => {
  const limits = { retries: 0, losses: 0, forgetful: ['z'] }
  for (const unanimous of [[], ['b']])
    expect(explore(startWorld(['a', 'b'], { ...limits, unanimous }), checkChain)).toBeGreaterThan(1000)
})

/** One order of messages after the other, drawn at random: of four acceptors there are too many to go through all. */
function wander(start: World, walks: number, check: (world: World) => void): number {
  const prng = new Prng('four acceptors')
  let decided = 0
  for (let walk = 0; walk < walks; walk++) {
    let world = start
    for (;;) {
      const next = [...successors(world)]
      if (next.length === 0) break
      world = prng.pick(next)
      check(world)
    }
    if (Object.keys(world.decided).length > 0) decided += 1
  }
  return decided
}

test('of four of which two forget, the others decide with one of them, and agree with whoever decided before', () => {
  const limits = { retries: 1, losses: 1, acceptors: ['w', 'x', 'y', 'z'], forgetful: ['y', 'z'] }
  const unanimous = ['a', 'b']
  expect(wander(startWorld(['a', 'b'], { ...limits, unanimous }), 2000, checkChain)).toBeGreaterThan(500)
  expect(wander(startWorld(['a', 'b'], { ...limits, unanimous: ['b'] }), 2000, checkChain)).toBeGreaterThan(
    1000,
  )
  const careless = startWorld(['a', 'b'], { ...limits, careless: true })
  expect(() => wander(careless, 2000, checkChain)).toThrow()
})

test('acceptors that have all forgotten decide when all of them agree', () => {
  const limits = { retries: 0, losses: 0, forgetful: ['x', 'y', 'z'], unanimous: ['a'] }
  let decided = 0
  explore(startWorld(['a'], limits), (world) => {
    if (world.messages.length === 0 && world.decided['a'] === 'a') decided += 1
  })
  expect(decided).toBeGreaterThan(0)
})
