import { expect, test, vi } from 'vitest'

test('lists with one of five nodes down, and reads everything with two', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  await import('../src/main.ts')
  expect(log.mock.calls.flat()).toEqual([
    '3 objects are listed, with one of five nodes down',
    'lagoon.jpg: 65536 of 65536 bytes, with two of five nodes down',
    'palm.jpg: 65536 of 65536 bytes, with two of five nodes down',
    'reef.jpg: 65536 of 65536 bytes, with two of five nodes down',
  ])
})
