import { expect, test, vi } from 'vitest'

test('stores on a directory, opens it again, and finds everything', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  await import('../src/main.ts')
  const lines = log.mock.calls.map((words) => words.flat().join(' '))
  expect(lines).toEqual(['Dear reader, (12 bytes, etag 710197c83414e9b0af791bcfd2bc6d71)', '1961/01.txt'])
})
