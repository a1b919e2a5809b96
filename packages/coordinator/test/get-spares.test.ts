import { AtollError } from '@atoll/core'
import { expect, test } from 'vitest'
import { type GetEffect, type GetEvent, GetMachine } from '../src/get-machine.ts'
import type { ReadQuorum } from '../src/quorum.ts'
import { record, sparesAmong, targets } from './machine-kit.ts'

const ANSWERS = ['found', 'missing', 'busy', 'dead'] as const
type Answer = (typeof ANSWERS)[number]

const value = record({ a: 1 })
const SPARES = ['n7', 'n8']

function eventOf(answer: Answer, at: number): GetEvent {
  if (answer === 'found') return { kind: 'found', at, record: value }
  if (answer === 'missing') return { kind: 'missing', at }
  const code = answer === 'dead' ? 'ATOLL_UNREACHABLE' : 'ATOLL_OVERLOADED'
  return { kind: 'failed', at, error: new AtollError(code, answer) }
}

const quorumOf = (r: number, changes: Partial<ReadQuorum> = {}): ReadQuorum => ({
  n: 3,
  r,
  pr: 0,
  notfoundOk: true,
  basicQuorum: false,
  absence: 'primaries',
  sloppy: true,
  ...changes,
})

interface Heard {
  readonly at: number
  readonly answer: Answer
}

/** Follows every order of every answer, of the spares too, and counts afresh what is known. */
test.each([
  ['ppp', quorumOf(1)],
  ['ppp', quorumOf(2)],
  ['ppp', quorumOf(3)],
  ['ppf', quorumOf(2)],
  ['ppf', quorumOf(2, { absence: 'any' })],
  ['ppp', quorumOf(2, { pr: 1 })],
  ['ppp', quorumOf(2, { notfoundOk: false })],
  ['ppp', quorumOf(2, { sloppy: false })],
])('every course of a read with spares: %s %j', (roles, quorum) => {
  let courses = 0
  explore([])
  expect(courses).toBeGreaterThan(100)

  function explore(course: readonly Heard[]): void {
    const open = replay(roles, quorum, course)
    if (open.length === 0) courses += 1
    for (const at of open) for (const answer of ANSWERS) explore([...course, { at, answer }])
  }
})

/** Runs a course from the start, checking at every step; answers who is still to be heard. */
function replay(roles: string, quorum: ReadQuorum, course: readonly Heard[]): readonly number[] {
  const list = targets(roles)
  const machine = new GetMachine({
    targets: list,
    quorum,
    policy: { kind: 'siblings' },
    repair: false,
    shows: () => true,
    spareFor: sparesAmong(...SPARES),
  })
  const open = list.map((_, at) => at)
  const heard: Heard[] = []
  let decided: GetEffect | undefined
  const fail = (why: string) => new Error(`${why}: ${JSON.stringify(heard)}`)
  const count = (...kinds: Answer[]) => heard.filter(({ answer }) => kinds.includes(answer)).length
  const isEvidenced = () => {
    const primaries = heard.filter(
      ({ at, answer }) => at < roles.length && roles[at] === 'p' && !isFailure(answer),
    )
    return quorum.absence === 'any' || count('found') > 0 || primaries.length >= quorum.r
  }
  const good = () => (quorum.notfoundOk ? count('found', 'missing') : count('found'))

  for (const { at, answer } of course) {
    open.splice(open.indexOf(at), 1)
    const hopefulBefore = good() + open.length + 1 >= quorum.r
    heard.push({ at, answer })
    const hopeful = good() + open.length >= quorum.r
    const effects = machine.step(eventOf(answer, at))
    for (const effect of effects) {
      if (effect.kind === 'ask') {
        const isStuck = open.length === effects.indexOf(effect) && !isEvidenced()
        if (decided !== undefined || (hopeful && !isStuck) || !quorum.sloppy) throw fail('asks without need')
        if (list.some(({ node }) => node === effect.target.node)) throw fail('asks one twice')
        list.push(effect.target)
        open.push(effect.at)
      } else if (effect.kind === 'repair') {
        if (list[effect.at]?.role !== 'primary') throw fail('fills a fallback')
      } else if (decided !== undefined) throw fail('decided twice')
      else {
        decided = effect
        justify(effect, hopefulBefore)
      }
    }
  }
  if (open.length === 0 && decided === undefined) throw fail('never decided')
  return open

  function failed(place: number): boolean {
    return heard.some(({ at, answer }) => at === place && isFailure(answer))
  }

  function justify(effect: GetEffect, hopefulBefore: boolean): void {
    const found = count('found') > 0
    if (effect.kind === 'unmet' && hopefulBefore) checkSpares()
    if (effect.kind !== 'answer') return
    if (found !== (effect.record !== undefined)) throw fail('answered something else')
    if (quorum.notfoundOk && good() < quorum.r) throw fail('answered below its quorum')
    if (!isEvidenced()) throw fail('absent on the word of fallbacks')
  }

  /** A read is given up only where no spare is left for any of the dead that would bring it back to r. */
  function checkSpares(): void {
    const dead = heard.filter(({ answer }) => answer === 'dead').length
    const asked = list.length - roles.length
    const more = quorum.sloppy ? Math.min(dead - asked, SPARES.length - asked) : 0
    if (more <= 0 && !isEvidenced()) return
    const primaries = list.filter(({ role }, at) => role === 'primary' && !failed(at)).length
    if (good() + open.length + more >= quorum.r && primaries >= quorum.pr)
      throw fail('gave up, though spares are left')
  }
}

function isFailure(answer: Answer): boolean {
  return answer === 'busy' || answer === 'dead'
}
