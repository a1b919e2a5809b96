import { expect, test, vi } from 'vitest'

test('reads everything with two of five nodes down', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  await import('../src/main.ts')
  expect(log.mock.calls.flat()).toEqual([
    'lagoon.jpg: 65536 of 65536 bytes, with two of five nodes down',
    'palm.jpg: 65536 of 65536 bytes, with two of five nodes down',
    'reef.jpg: 65536 of 65536 bytes, with two of five nodes down',
  ])
})
