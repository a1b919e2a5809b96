import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ERROR_CODES } from '../../core/src/index.ts'
import { ROOT } from './repository.ts'

test('the operating guide explains every error code, and as the code has it', async () => {
  const guide = await readFile(join(ROOT, 'docs/OPERATING.md'), 'utf8')
  const told = guide.split('\n').filter((line) => line.startsWith('| `ATOLL_'))
  const yes = (flag: boolean) => (flag ? 'yes' : 'no')
  const rows = Object.entries(ERROR_CODES).map(
    ([code, { definite, transient, meaning }]) =>
      `| \`${code}\` | ${yes(definite)} | ${yes(transient)} | ${meaning} |`,
  )
  expect(told).toEqual(rows)
})
