import { utf8 } from '@atoll/core'
import { Prng } from '@atoll/sim'
import { describe, expect, test } from 'vitest'
import { type Digest, newcomer } from '../src/digest.ts'
import type { GossipDecision, GossipEvent } from '../src/events.ts'
import { GossipMachine } from '../src/machine.ts'
import { type GossipOptions, validateGossipOptions } from '../src/options.ts'

type Kind = GossipDecision['kind']

/** One machine among others that a test speaks for. Times are those of the defaults. */
class Story {
  readonly machine: GossipMachine
  readonly decisions: GossipDecision[] = []
  nowMs = 0

  constructor(names: readonly string[], options: Omit<GossipOptions, 'node'> = {}) {
    this.machine = new GossipMachine(new Prng('story'), validateGossipOptions({ ...options, node: 'me' }))
    this.step({ kind: 'members', names })
    this.step({ kind: 'start' })
  }

  step(event: GossipEvent): readonly GossipDecision[] {
    const decisions = this.machine.step(event, this.nowMs)
    this.decisions.push(...decisions)
    return decisions
  }

  /** Ticks as they come due; `answer` says who answers pings at once. */
  run(ms: number, answer: (node: string) => boolean = () => false): void {
    const untilMs = this.nowMs + ms
    this.answerPings(this.decisions, answer)
    while (this.machine.nextMs <= untilMs) {
      this.nowMs = this.machine.nextMs
      this.answerPings(this.step({ kind: 'tick' }), answer)
    }
    this.nowMs = untilMs
  }

  answerPings(decisions: readonly GossipDecision[], answer: (node: string) => boolean): void {
    for (const decision of decisions) {
      if (decision.kind !== 'ping' && decision.kind !== 'tell') continue
      if (answer(decision.to)) this.step({ kind: 'answered', from: decision.to, digests: [] })
    }
  }

  hear(from: string, ...digests: Digest[]): readonly GossipDecision[] {
    return this.step({ kind: 'heard', from, digests })
  }

  take<K extends Kind>(kind: K): Extract<GossipDecision, { kind: K }>[] {
    const is = (decision: GossipDecision): decision is Extract<GossipDecision, { kind: K }> =>
      decision.kind === kind
    const taken = this.decisions.filter(is)
    this.decisions.splice(0)
    return taken
  }

  status(node: string): string {
    return `${this.machine.statusOf(node)}, ${this.machine.isUp(node) ? 'up' : 'down'}`
  }
}

const digest = (node: string, fields: Partial<Digest>): Digest => ({ ...newcomer(node), ...fields })
const everybody = () => true

describe('a machine', () => {
  test('greets the members, and believes nobody to be up who does not answer', () => {
    const story = new Story(['a', 'b', 'me'])
    const greeted = story.take('ping').map(({ to }) => to)
    expect(greeted.sort()).toEqual(['a', 'b'])
    story.step({ kind: 'answered', from: 'a', digests: [digest('a', { incarnation: 3 })] })
    story.run(300)
    expect([story.status('a'), story.status('b')]).toEqual(['alive, up', 'suspect, down'])
  })

  test('greets only so many of a large cluster', () => {
    const names = Array.from({ length: 100 }, (_, at) => `n${at}`)
    expect(new Story(names, { firstContacts: 7 }).take('ping')).toHaveLength(7)
  })

  test('asks through others before it suspects, and suspects before it says dead', () => {
    const story = new Story(['a', 'b', 'c'])
    const answers = (node: string) => node !== 'a'
    story.run(3000, everybody)
    story.take('ping')
    story.run(500, answers)
    const pinged = story.nowMs
    while (story.take('relay').length === 0) story.run(10, answers)
    expect(story.machine.statusOf('a')).toBe('alive')
    while (story.machine.statusOf('a') !== 'suspect') story.run(10, answers)
    expect(story.nowMs - pinged).toBeLessThanOrEqual(800)
    const suspectMs = story.nowMs
    while (story.machine.statusOf('a') !== 'dead') story.run(10, answers)
    // Two others could have confirmed; nobody did.
    expect(story.nowMs - suspectMs).toBeGreaterThan(2900)
    expect(story.status('a')).toBe('dead, down')
  })

  test('takes the word of one who reached the node, but asks again, and counts it as out of reach after two misses', () => {
    const story = new Story(['a', 'b', 'c'])
    story.run(2000, everybody)
    const answers = (node: string) => node !== 'a'
    const seen: string[] = []
    for (let steps = 0; steps < 200; steps++) {
      story.run(10, answers)
      for (const { probe, via } of story.take('relay'))
        story.step({ kind: 'relayed', probe, via, outcome: 'answered' })
      if (seen.at(-1) !== story.status('a')) seen.push(story.status('a'))
    }
    expect(seen).toEqual(['alive, up', 'suspect, down'])
    expect([...story.machine.members()].find(({ node }) => node === 'a')?.status).toBe('alive')
  })

  test('is confirmed by others, and says dead sooner', () => {
    const waits = [0, 1, 2, 3].map((confirmations) => {
      const story = new Story(['a', 'b', 'c', 'd', 'e'])
      story.run(1000, everybody)
      const accusers = ['b', 'c', 'd', 'e'].slice(0, 1 + confirmations)
      for (const accuser of accusers)
        story.hear('b', digest('a', { incarnation: 1, status: 'suspect', accusers: [accuser] }))
      const sinceMs = story.nowMs
      while (story.machine.statusOf('a') !== 'dead') story.run(10, (node) => node !== 'a')
      return story.nowMs - sinceMs
    })
    expect(waits).toEqual([...waits].sort((a, b) => b - a))
    // This node is a confirmation itself once its own probe has failed.
    expect(waits[0]).toBeGreaterThanOrEqual(2000)
    expect(waits[3]).toBeLessThanOrEqual(1010)
  })

  test('hears a refutation, and nothing older', () => {
    const story = new Story(['a', 'b'])
    story.run(1000, everybody)
    const say = (incarnation: number, status: Digest['status']) => {
      story.hear('b', digest('a', { incarnation, status }))
      return story.machine.statusOf('a')
    }
    expect(say(5, 'dead')).toBe('dead')
    expect(say(5, 'alive')).toBe('dead')
    expect(say(4, 'suspect')).toBe('dead')
    expect(say(6, 'alive')).toBe('alive')
    expect(say(5, 'dead')).toBe('alive')
    expect(say(6, 'suspect')).toBe('suspect')
    expect(say(7, 'alive')).toBe('alive')
    expect(story.take('false-alarm')).toHaveLength(1)
  })

  test('refutes what is said of it, doubts itself, and tells some at once', () => {
    const story = new Story(['a', 'b', 'c', 'd', 'e'])
    story.run(1000, everybody)
    story.take('tell')
    const { incarnation } = story.machine.self
    story.hear('a', digest('me', { incarnation, status: 'suspect', accusers: ['a'] }))
    expect(story.machine.self).toMatchObject({ incarnation: incarnation + 1, status: 'alive' })
    expect(story.machine.health).toBe(1)
    expect(story.take('tell')).toHaveLength(3)
    story.hear('a', digest('me', { incarnation, status: 'dead' }))
    expect(story.machine.self.incarnation).toBe(incarnation + 1)
  })

  test('refutes one accusation in a period at once, and the last of the others when it is over', () => {
    const story = new Story(['a', 'b', 'c'], { periodMs: 500 })
    story.run(1000, everybody)
    story.take('refuted')
    const accuse = (from: string) => {
      const { incarnation } = story.machine.self
      story.hear(from, digest('me', { incarnation, status: 'suspect', accusers: [from] }))
    }
    const startMs = story.nowMs
    const first = story.machine.self.incarnation
    accuse('a')
    expect(story.take('refuted')).toEqual([{ kind: 'refuted', incarnation: first + 1 }])
    for (const from of ['a', 'b', 'c']) {
      story.run(40, everybody)
      accuse(from)
    }
    expect([story.take('refuted'), story.machine.health]).toEqual([[], 1])
    expect(story.machine.nextMs).toBeLessThanOrEqual(startMs + 500)
    story.run(startMs + 499 - story.nowMs, everybody)
    expect(story.take('refuted')).toEqual([])
    story.run(1, everybody)
    expect(story.take('refuted')).toEqual([{ kind: 'refuted', incarnation: first + 2 }])
    story.run(5000, everybody)
    expect(story.take('refuted')).toEqual([])
  })

  test('outdoes the obituary and the facts of a former life, without doubt in itself', () => {
    const story = new Story(['a'])
    story.step({ kind: 'publish', name: 'rack', value: utf8('r1') })
    const former = story.machine.self.incarnation + 100
    story.hear('a', digest('me', { incarnation: former, status: 'dead', generation: former, counter: 20 }))
    expect(story.machine.self).toMatchObject({ incarnation: former + 1, generation: former + 1, counter: 1 })
    expect(story.machine.health).toBe(0)
  })

  test('tells one who was started anew what is known of its former life', () => {
    const story = new Story(['a', 'b'])
    story.hear('a', digest('a', { incarnation: 9, generation: 9 }))
    expect(story.machine.newsFor('a').map(({ node }) => node)).not.toContain('a')
    story.hear('a', digest('a', { incarnation: 2, generation: 2 }))
    expect(story.machine.newsFor('a')).toContainEqual(digest('a', { incarnation: 9, generation: 9 }))
    story.hear('a', digest('a', { incarnation: 10, generation: 10 }))
    expect(story.machine.newsFor('a').map(({ node }) => node)).not.toContain('a')
  })

  test('takes a broken connection for a reason to ask, and believes the node to be down until it answers', () => {
    const story = new Story(['a', 'b'])
    story.run(1000, everybody)
    story.take('ping')
    const decisions = story.step({ kind: 'disconnected', node: 'a' })
    expect(decisions.map(({ kind }) => kind)).toEqual(['ping', 'status', 'down'])
    expect(story.status('a')).toBe('suspect, down')
    expect([...story.machine.members()].map(({ status }) => status)).toEqual(['alive', 'alive'])
    const answer = story.step({ kind: 'answered', from: 'a', digests: [] })
    expect(answer.map(({ kind }) => kind)).toEqual(['probed', 'status', 'up'])
    expect(story.status('a')).toBe('alive, up')
  })

  test('asks one at once who speaks though it was thought to be away', () => {
    const story = new Story(['a', 'b'])
    story.run(1000, everybody)
    story.hear('b', digest('a', { incarnation: 1, status: 'dead' }))
    story.take('ping')
    story.hear('a', digest('a', { incarnation: 1 }))
    expect(story.take('ping').map(({ to }) => to)).toEqual(['a'])
    expect(story.machine.newsFor('a')).toContainEqual(digest('a', { incarnation: 1, status: 'dead' }))
  })

  test('knocks at the dead in every round', () => {
    const story = new Story(['a', 'b'])
    story.run(1000, everybody)
    story.hear('b', digest('a', { incarnation: 1, status: 'dead' }))
    story.take('ping')
    story.run(2000, (node) => node === 'b')
    expect(story.take('ping').filter(({ to }) => to === 'a')).toHaveLength(4)
  })

  test('that stood still accuses nobody, gives suspects more time, and doubts itself', () => {
    const story = new Story(['a', 'b', 'c'])
    story.run(2000, everybody)
    story.hear('b', digest('a', { incarnation: 1, status: 'suspect', accusers: ['b'] }))
    story.run(500)
    story.nowMs += 60_000
    const decisions = story.step({ kind: 'tick' })
    expect(decisions.filter(({ kind }) => kind === 'stalled')).toHaveLength(1)
    expect(decisions.some((d) => d.kind === 'probed' && d.outcome === 'failed')).toBe(false)
    expect(story.status('a')).toBe('suspect, up')
    expect(story.machine.health).toBe(1)
  })

  test('that stood still says so once, whatever arrives before its timers do', () => {
    const story = new Story(['a', 'b', 'c'])
    story.run(2000, everybody)
    story.take('stalled')
    story.nowMs += 60_000
    for (const from of ['a', 'b', 'c', 'a']) story.hear(from, digest(from, { incarnation: 1 }))
    story.nowMs += 5
    story.hear('b')
    story.step({ kind: 'tick' })
    expect(story.take('stalled')).toHaveLength(1)
    story.run(2000, everybody)
    story.nowMs += 60_000
    story.hear('a')
    expect(story.take('stalled')).toHaveLength(1)
  })

  test('that is not late has not stood still', () => {
    const story = new Story(['a', 'b', 'c'])
    story.run(2000, everybody)
    story.nowMs = story.machine.nextMs + 200
    expect(story.step({ kind: 'tick' }).some(({ kind }) => kind === 'stalled')).toBe(false)
  })

  test('waits longer the more it doubts itself, and up to a maximum', () => {
    const story = new Story(['a', 'b', 'c', 'd', 'e', 'f'], { maxHealth: 2 })
    // Nobody answers at all: it is more likely to be this node.
    story.run(3000)
    expect(story.machine.health).toBe(2)
    const timeouts = story.take('ping').map(({ timeoutMs }) => timeoutMs)
    expect([Math.min(...timeouts.filter((ms) => ms >= 600)), Math.max(...timeouts)]).toEqual([600, 1800])
    story.run(5000, everybody)
    expect(story.machine.health).toBe(0)
  })

  test('probes everybody before it probes anybody again', () => {
    const names = Array.from({ length: 12 }, (_, at) => `n${at}`)
    const story = new Story(names, { firstContacts: 0 })
    const pinged: string[] = []
    while (pinged.length < 24) {
      story.run(500, everybody)
      pinged.push(...story.take('ping').map(({ to }) => to))
    }
    expect(new Set(pinged.slice(0, 12)).size).toBe(12)
    expect(new Set(pinged.slice(12, 24)).size).toBe(12)
  })

  test('tells a piece of news a bounded number of times, and so many at once', () => {
    const names = Array.from({ length: 30 }, (_, at) => `n${at}`)
    const story = new Story(names, { maxRumours: 4 })
    for (const name of names)
      story.hear('n0', digest(name, { incarnation: 1, status: 'suspect', accusers: ['x'] }))
    const told = new Map<string, number>()
    for (let messages = 0; messages < 1000; messages++) {
      const news = story.machine.newsFor('stranger').slice(1)
      expect(news.length).toBeLessThanOrEqual(4)
      for (const { node } of news) told.set(node, (told.get(node) ?? 0) + 1)
    }
    expect(new Set(told.values())).toEqual(new Set([Math.ceil(2 * Math.log2(32))]))
    expect(told.size).toBe(30)
  })

  test('forgets who is no member, probes who becomes one, and hears nothing of strangers', () => {
    const story = new Story(['a', 'b'])
    story.hear('a', digest('b', { incarnation: 1, status: 'dead' }))
    story.take('ping')
    story.step({ kind: 'members', names: ['a', 'c'] })
    expect(story.take('ping').map(({ to }) => to)).toEqual(['c'])
    expect([story.status('b'), story.status('c')]).toEqual(['dead, down', 'alive, up'])
    story.hear('a', digest('z', { incarnation: 1 }))
    expect([...story.machine.members()].map(({ node }) => node)).toEqual(['a', 'c'])
    story.step({ kind: 'members', names: ['a', 'b', 'c'] })
    expect(story.status('b')).toBe('alive, up')
  })

  test('fetches a newer document from who has it, one at a time, and not again at once where that failed', () => {
    const story = new Story(['a', 'b'])
    const versions = (from: string, documentVersion: number) =>
      story
        .hear(from, digest(from, { incarnation: 1, documentVersion }))
        .filter(({ kind }) => kind === 'fetch')
    expect(versions('a', 3)).toEqual([{ kind: 'fetch', from: 'a', version: 3 }])
    expect(versions('b', 4)).toEqual([])
    story.step({ kind: 'fetched', from: 'a', learned: false })
    expect(versions('a', 3)).toEqual([])
    expect(versions('b', 4)).toHaveLength(1)
    story.step({ kind: 'document', version: 4 })
    expect(
      story
        .take('tell')
        .map(({ to }) => to)
        .sort(),
    ).toEqual(['a', 'b'])
    story.step({ kind: 'fetched', from: 'b', learned: true })
    expect(versions('b', 4)).toEqual([])
  })

  test('asks one at a time for the facts of a node, and again if the answer is lost', () => {
    const story = new Story(['a', 'b', 'c'])
    story.run(1000, everybody)
    story.take('exchange')
    const news = digest('c', { incarnation: 1, generation: 1, counter: 2 })
    const asks = (decisions: readonly GossipDecision[]) => decisions.filter(({ kind }) => kind === 'exchange')
    expect(asks(story.hear('a', news))).toMatchObject([{ with: 'a' }])
    expect(asks(story.hear('b', news))).toEqual([])
    story.run(1100, everybody)
    const again = story.take('exchange').filter(({ digests }) => digests.length === 2)
    expect(again.map((exchange) => exchange.with)).toContain('a')
    const facts = [{ name: 'load', counter: 2, value: utf8('1') }]
    story.step({ kind: 'deltas', deltas: [{ node: 'c', generation: 1, after: 0, upTo: 2, facts }] })
    expect(story.take('fact')).toMatchObject([{ node: 'c', name: 'load' }])
    expect(asks(story.hear('b', news))).toEqual([])
  })
})
