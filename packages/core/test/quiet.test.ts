import { describe, expect, it } from 'vitest'
import { createMetrics, quietLog, quietProbe } from '../src/index.ts'

describe('metrics in memory', () => {
  it('count up, set gauges, and count observations', () => {
    const metrics = createMetrics()
    metrics.count('puts_total')
    metrics.count('puts_total', 4)
    metrics.gauge('keys', 7)
    metrics.gauge('keys', 5)
    metrics.observe('put_ms', 1.5)
    metrics.observe('put_ms', 2.5)
    expect(Object.fromEntries(metrics.entries())).toEqual({ puts_total: 5, keys: 5, put_ms_count: 2 })
  })

  it('keep a series for each set of labels, in whatever order these come', () => {
    const metrics = createMetrics()
    metrics.count('puts_total', 1, { node: 'n1', bucket: 'b' })
    metrics.count('puts_total', 1, { bucket: 'b', node: 'n1' })
    metrics.count('puts_total', 1, {})
    expect(metrics.value('puts_total', { node: 'n1', bucket: 'b' })).toBe(2)
    expect(metrics.value('puts_total')).toBe(1)
    expect(metrics.value('puts_total', { node: 'n2' })).toBe(0)
    expect([...metrics.entries()].map(([name]) => name)).toEqual([
      'puts_total{bucket="b",node="n1"}',
      'puts_total',
    ])
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
