import { describe, expect, it } from 'vitest'
import { createMetrics, isMetricsRegistry, METRICS, type Metrics } from '../src/index.ts'

describe('a registry of metrics', () => {
  it('answers counters, gauges and histograms with their sums and buckets', () => {
    const metrics = createMetrics()
    metrics.count('atoll_coordinator_reads_total', 3)
    metrics.gauge('atoll_gossip_members', 2, { status: 'alive' })
    for (const ms of [0.05, 1, 3, 2 ** 40]) metrics.observe('atoll_coordinator_read_ms', ms)
    const named = (name: string) => metrics.snapshot().find((series) => series.name === name)
    const reads = named('atoll_coordinator_reads_total')
    const members = named('atoll_gossip_members')
    const histogram = named('atoll_coordinator_read_ms')
    expect(reads).toEqual({ name: 'atoll_coordinator_reads_total', labels: {}, type: 'counter', value: 3 })
    expect(members).toEqual({
      name: 'atoll_gossip_members',
      labels: { status: 'alive' },
      type: 'gauge',
      value: 2,
    })
    expect(histogram).toMatchObject({ type: 'histogram', count: 4, sum: 4.05 + 2 ** 40 })
    const below = (le: number) =>
      histogram?.type === 'histogram' && histogram.buckets.find((bucket) => bucket.le === le)?.count
    expect([0.0625, 0.5, 1, 2, 4, 2 ** 26].map(below)).toEqual([1, 1, 2, 2, 3, 3])
  })

  it('prints the text format of Prometheus, with help and escaped labels', () => {
    const metrics = createMetrics()
    metrics.count('atoll_rpc_refused_total', 2, { code: 'a"b\\c\nd' })
    metrics.observe('atoll_vnode_batch_ms', 3)
    const lines = metrics.text().split('\n')
    const at = lines.findIndex((line) => line.startsWith('# HELP atoll_rpc_refused_total'))
    expect(lines.slice(at, at + 3)).toEqual([
      `# HELP atoll_rpc_refused_total ${METRICS.atoll_rpc_refused_total.help}`,
      '# TYPE atoll_rpc_refused_total counter',
      'atoll_rpc_refused_total{code="a\\"b\\\\c\\nd"} 2',
    ])
    expect(lines).toContain('# TYPE atoll_vnode_batch_ms histogram')
    expect(lines).toContain('atoll_vnode_batch_ms_bucket{le="2"} 0')
    expect(lines).toContain('atoll_vnode_batch_ms_bucket{le="4"} 1')
    expect(lines).toContain('atoll_vnode_batch_ms_bucket{le="+Inf"} 1')
    expect(lines).toContain('atoll_vnode_batch_ms_sum 3')
    expect(lines.at(-1)).toBe('')
  })

  it('hands every number on, and is told from metrics that cannot be read', () => {
    const calls: unknown[][] = []
    const to: Metrics = {
      count: (...call) => void calls.push(['count', ...call]),
      gauge: (...call) => void calls.push(['gauge', ...call]),
      observe: (...call) => void calls.push(['observe', ...call]),
    }
    const metrics = createMetrics({ to })
    metrics.count('a', 2, { x: 'y' })
    metrics.gauge('b', 3)
    metrics.observe('c', 4)
    expect(calls).toEqual([
      ['count', 'a', 2, { x: 'y' }],
      ['gauge', 'b', 3, undefined],
      ['observe', 'c', 4, undefined],
    ])
    expect([isMetricsRegistry(metrics), isMetricsRegistry(to)]).toEqual([true, false])
  })
})
