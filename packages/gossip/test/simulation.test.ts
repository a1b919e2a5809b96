import { describe, expect, test } from 'vitest'
import { afterStall, atRest, detection, falseVerdicts, spreading } from './figures.ts'

/** `GOSSIP_FIGURES=1` prints the figures of the README, of longer runs: some minutes. */
const PRINTING = process.env['GOSSIP_FIGURES'] === '1'
const NO_FIGURES = PRINTING ? test.skip : test
/** A thousand nodes are seconds of work, and the machine may be busy. */
const PATIENT = { timeout: 300_000 }

describe('machines alone, one message in twenty lost', () => {
  NO_FIGURES.each([
    [10, 1],
    [100, 1],
    [1000, 1],
  ])('spread a document and a fact among %i nodes in rounds that grow with log2', PATIENT, (nodes, seed) => {
    const { documentRounds, factRounds, log2, messagesPerNodeRound } = spreading({ nodes, seed })
    expect(documentRounds).toBeGreaterThan(0)
    expect(documentRounds).toBeLessThanOrEqual(1 + log2)
    expect(factRounds).toBeLessThanOrEqual(2 + log2)
    expect(messagesPerNodeRound).toBeLessThan(16)
  })

  NO_FIGURES('send as many messages for each node and round in large clusters as in small ones', () => {
    const [small, large] = [atRest({ nodes: 10 }, 40), atRest({ nodes: 100 }, 20)]
    expect(small.messagesPerNodeRound).toBeGreaterThan(7)
    expect(large.messagesPerNodeRound).toBeLessThan(1.15 * small.messagesPerNodeRound)
  })

  NO_FIGURES('take nobody for dead who lives', () => {
    const { suspicions, deaths } = falseVerdicts({ nodes: 50 }, 2)
    expect(suspicions).toBeGreaterThan(0)
    expect(deaths).toBe(0)
  })

  NO_FIGURES.each([
    [5, 4000],
    [10, 4000],
    [100, 6000],
  ])('find out that one of %i nodes is dead within %i ms', (nodes, limitMs) => {
    const { firstMs, allMs } = detection({ nodes }, nodes === 100 ? 1 : 3)
    expect(firstMs.median).toBeGreaterThan(1000)
    expect(allMs.max).toBeLessThan(limitMs)
  })

  NO_FIGURES.each([2000, 20_000])(
    'believe nothing that a node says which stood still for %i ms',
    (stallMs) => {
      for (const seed of [1, 2, 3, 4, 5]) {
        const wrong = afterStall({ nodes: 20, seed, lossPermille: 0 }, stallMs)
        expect(wrong).toEqual({ deaths: 0, accusedByStalled: 0, stillDown: 0 })
      }
    },
  )
})

describe.runIf(PRINTING)('figures', () => {
  const print = (what: string, figures: object) =>
    process.stdout.write(`${what}: ${JSON.stringify(figures)}\n`)

  test.each([10, 100, 1000])('of %i nodes', { timeout: 3_600_000 }, (nodes) => {
    for (const seed of [1, 2, 3]) print(`${nodes} spreading`, spreading({ nodes, seed }))
    print(`${nodes} at rest`, atRest({ nodes }, 40))
    print(`${nodes} at rest, no loss`, atRest({ nodes, lossPermille: 0 }, 40))
    print(`${nodes} detection`, detection({ nodes }, nodes === 1000 ? 5 : Math.min(20, nodes - 5)))
    print(`${nodes} after stall`, afterStall({ nodes, lossPermille: 0 }, 10_000))
    print(`${nodes} false verdicts`, falseVerdicts({ nodes }, nodes === 10 ? 300 : nodes === 100 ? 30 : 3))
  })
})
