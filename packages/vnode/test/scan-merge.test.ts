import { compareBytes, utf8 } from '@atoll/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ScanReply } from '../src/index.ts'
import { mergeScans } from '../src/scan-merge.ts'

const entry = (term: string) => ({
  term: utf8(term),
  bucket: utf8('b'),
  key: utf8(`k ${term}`),
  slice: 1,
  clockDigest: utf8('12345678'),
  payloads: [utf8(term)],
})

const termsOf = ({ entries }: ScanReply) => entries.map(({ term }) => Buffer.from(term).toString())

/** What a node would answer that holds these terms. */
function pageOf(terms: readonly string[], after: string, limit: number): ScanReply {
  const left = terms.filter((term) => compareBytes(utf8(term), utf8(after)) > 0)
  return { entries: left.slice(0, limit).map(entry), done: left.length <= limit }
}

describe('a scan of several pages', () => {
  it('answers every entry once and in order, page by page', () => {
    const terms = fc.uniqueArray(
      fc.string({ minLength: 1, maxLength: 3, unit: fc.constantFrom('a', 'b', 'c') }),
    )
    const dealt = fc.tuple(terms, fc.array(fc.nat({ max: 2 }), { minLength: 40, maxLength: 40 }))
    fc.assert(
      fc.property(
        dealt,
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 400 }),
        ([all, to], limit, bytes) => {
          const held = [0, 1, 2].map((node) => all.filter((_, at) => to[at] === node).sort())
          const found: string[] = []
          for (let after = ''; ; after = found.at(-1) ?? '') {
            const pages = held.map((mine) => pageOf(mine, after, limit))
            const page = mergeScans(pages, { limit, bytes })
            expect(page.entries.length).toBeLessThanOrEqual(limit)
            found.push(...termsOf(page))
            if (page.done) break
            expect(page.entries.length).toBeGreaterThan(0)
          }
          expect(found).toEqual(held.flat().sort())
        },
      ),
    )
  })
})
