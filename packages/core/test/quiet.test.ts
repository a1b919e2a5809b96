import { describe, expect, it } from 'vitest'
import { createMetrics, METRICS, type MetricsReader, quietLog, quietProbe } from '../src/index.ts'

/** Everything that was touched. */
const touched = (metrics: MetricsReader) => [...metrics.entries()].filter(([, value]) => value !== 0)

describe('metrics in memory', () => {
  it('count up, set gauges, and count observations', () => {
    const metrics = createMetrics()
    metrics.count('puts_total')
    metrics.count('puts_total', 4)
    metrics.gauge('keys', 7)
    metrics.gauge('keys', 5)
    metrics.observe('put_ms', 1.5)
    metrics.observe('put_ms', 2.5)
    expect(Object.fromEntries(touched(metrics))).toEqual({ puts_total: 5, keys: 5, put_ms_count: 2 })
  })

  it('keep a series for each set of labels, in whatever order these come', () => {
    const metrics = createMetrics()
    metrics.count('puts_total', 1, { node: 'n1', bucket: 'b' })
    metrics.count('puts_total', 1, { bucket: 'b', node: 'n1' })
    metrics.count('puts_total', 1, {})
    expect(metrics.value('puts_total', { node: 'n1', bucket: 'b' })).toBe(2)
    expect(metrics.value('puts_total')).toBe(1)
    expect(metrics.value('puts_total', { node: 'n2' })).toBe(0)
    expect(touched(metrics).map(([name]) => name)).toEqual(['puts_total{bucket="b",node="n1"}', 'puts_total'])
  })

  it('are there from the start at 0, with all labels that are known, so that 0 is told from what is not there', () => {
    const metrics = createMetrics()
    const names = metrics.snapshot().map(({ name }) => name)
    for (const [name, entry] of Object.entries(METRICS)) {
      const isOpenEnded =
        'labels' in entry && Object.values(entry.labels).some((values) => typeof values === 'string')
      expect(names.includes(name), name).toBe(entry.type !== 'gauge' && !isOpenEnded)
    }
    expect(touched(metrics)).toEqual([])
    const lines = metrics.text().split('\n')
    expect(lines).toContain('atoll_vnode_batch_failures_total 0')
    expect(lines).toContain('atoll_coordinator_unmet_total{kind="scan"} 0')
    expect(lines).toContain('atoll_handoff_bytes_total{direction="in",kind="give-back"} 0')
    expect(lines).toContain('atoll_vnode_batch_ms_count 0')
    metrics.count('atoll_coordinator_unmet_total', 1, { kind: 'scan' })
    const { length } = lines
    expect(metrics.text().split('\n')).toHaveLength(length)
    expect(metrics.text()).toContain('atoll_coordinator_unmet_total{kind="scan"} 1')
  })

  it('are independent of each other', () => {
    createMetrics().count('puts_total')
    expect(createMetrics().value('puts_total')).toBe(0)
  })
})

describe('the quiet log and probe', () => {
  it('take everything and answer nothing', () => {
    for (const level of ['debug', 'info', 'warn', 'error'] as const)
      expect(quietLog[level]({}, 'x')).toBeUndefined()
    expect(quietProbe.mark('x')).toBeUndefined()
  })
})
