import { expect, test } from 'vitest'
import { Latency } from '../src/latency.ts'

const bounds = { hedgeStartMs: 50, hedgeMinMs: 2, hedgeMaxMs: 1000 }

test('a hedge waits for about the p95 of what was seen', () => {
  const latency = new Latency(bounds)
  expect(latency.hedgeMs('n1')).toBe(50)
  for (let turn = 0; turn < 1000; turn++) latency.answered('n1', 10 + (turn % 11), turn)
  // Uniform from 10 to 20: the p95 is 19.5.
  expect(latency.hedgeMs('n1')).toBeGreaterThan(18)
  expect(latency.hedgeMs('n1')).toBeLessThan(24)
})

test('it stays within its bounds', () => {
  const latency = new Latency(bounds)
  for (let turn = 0; turn < 100; turn++) {
    latency.answered('quick', 0.01, turn)
    latency.answered('slow', 60_000, turn)
  }
  expect(latency.hedgeMs('quick')).toBe(2)
  expect(latency.hedgeMs('slow')).toBe(1000)
})

test('one that was outrun or failed costs more, but its hedge stays', () => {
  const latency = new Latency(bounds)
  for (let turn = 0; turn < 100; turn++) latency.answered('n1', 5, turn)
  const hedgeMs = latency.hedgeMs('n1')
  latency.outrun('n1', 40, 100)
  expect(latency.costMs('n1', 100)).toBeGreaterThan(8)
  latency.outrun('n1', 1, 100)
  expect(latency.costMs('n1', 100)).toBeGreaterThan(8)
  latency.failed('n1', 100)
  expect(latency.costMs('n1', 100)).toBeGreaterThan(100)
  expect(latency.hedgeMs('n1')).toBe(hedgeMs)
})

test('what is unknown or was long ago costs nothing, so that it is tried', () => {
  const latency = new Latency(bounds)
  expect(latency.costMs('n1', 0)).toBe(0)
  latency.failed('n1', 0)
  expect(latency.costMs('n1', 60_000)).toBeGreaterThan(0)
  expect(latency.costMs('n1', 60_001)).toBe(0)
})

test('it remembers only so many nodes', () => {
  const latency = new Latency(bounds)
  for (let node = 0; node < 1025; node++) latency.answered(`n${node}`, 5, 0)
  expect(latency.hedgeMs('n0')).toBe(50)
  expect(latency.hedgeMs('n1')).not.toBe(50)
})
