import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { METRICS, type MetricEntry } from '../../core/src/index.ts'
import { packages, ROOT } from './repository.ts'

const entries: readonly (readonly [string, MetricEntry])[] = Object.entries(METRICS)
const TYPES: Readonly<Record<string, string>> = { count: 'counter', gauge: 'gauge', observe: 'histogram' }

interface Use {
  readonly path: string
  readonly name: string
  readonly type: string
}

/** Where a metric is touched by its name. */
function usesOf({ path, text }: { readonly path: string; readonly text: string }): Use[] {
  return [...text.matchAll(/\.(count|gauge|observe)\(\s*'([^']+)'/g)].map((match) => ({
    path,
    type: TYPES[match[1] ?? ''] ?? '',
    name: match[2] ?? '',
  }))
}

const sources = packages
  .filter(({ path }) => path.startsWith('packages/'))
  .flatMap((one) => one.sources)
  .filter(({ path }) => path !== 'packages/core/src/metrics-catalogue.ts')

/** The page that lists them; `vitest -u` writes it anew. */
function page(): string {
  const labelsOf = ({ labels = {} }: MetricEntry) =>
    Object.entries(labels)
      .map(([label, values]) => `\`${label}\`: ${valuesOf(values)}`)
      .join('; ')
  const valuesOf = (values: readonly string[] | string) =>
    typeof values === 'string'
      ? { code: 'an error code', method: 'the name of a call' }[values]
      : values.map((value) => `\`${value}\``).join(', ')
  const rows = entries.map(
    ([name, entry]) => `| \`${name}\` | ${entry.type} | ${labelsOf(entry)} | ${entry.help} |`,
  )
  return `# Metrics

Everything that Atoll counts. \`node.metrics.text()\` prints it in the text format of Prometheus, which a server sends as
\`Content-Type: text/plain; version=0.0.4\` (Prometheus 3 refuses an answer without one), and
\`node.metrics.snapshot()\` answers it as data. This page is generated from \`packages/core/src/metrics-catalogue.ts\`.

Counters and histograms are there at 0 from the start, with every value of their labels that is listed here. A series with
\`code\` or \`method\` comes with its first count, and a gauge when it is first set. Metrics that you give to a node
(\`metrics\`) get what is counted, and no zeros before; \`METRICS\` of \`@atoll/core\` is this list as data.

| name | type | labels | meaning |
|---|---|---|---|
${rows.join('\n')}
`
}

describe('metrics', () => {
  it('are in the catalogue with their type, wherever the code touches one', () => {
    const strange = sources
      .flatMap(usesOf)
      .filter(({ name, type }) => entries.find(([known]) => known === name)?.[1].type !== type)
    expect(strange).toEqual([])
  })

  it('of the catalogue are all in use', () => {
    const texts = sources.map(({ text }) => text).join('\n')
    expect(entries.map(([name]) => name).filter((name) => !texts.includes(`'${name}'`))).toEqual([])
  })

  it('are named in one style, in order, with a sentence about each', () => {
    const names = entries.map(([name]) => name)
    expect(names).toEqual([...names].sort())
    for (const [name, { type, help }] of entries) {
      expect(name).toMatch(/^atoll(_[a-z0-9]+)+$/)
      expect(name.endsWith('_total'), name).toBe(type === 'counter')
      expect(help, name).toMatch(/^[A-Z].*\.$/)
    }
  })

  it('are listed in the docs as the catalogue has them', async () => {
    await expect(page()).toMatchFileSnapshot(join(ROOT, 'docs/METRICS.md'))
  })
})
