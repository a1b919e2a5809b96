import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ERROR_CODES } from '../../core/src/index.ts'
import { ROOT } from './repository.ts'

const guide = await readFile(join(ROOT, 'docs/OPERATING.md'), 'utf8')

test('the operating guide explains every error code, and as the code has it', () => {
  const told = guide.split('\n').filter((line) => line.startsWith('| `ATOLL_'))
  const yes = (flag: boolean) => (flag ? 'yes' : 'no')
  const rows = Object.entries(ERROR_CODES).map(
    ([code, { definite, transient, meaning }]) =>
      `| \`${code}\` | ${yes(definite)} | ${yes(transient)} | ${meaning} |`,
  )
  expect(told).toEqual(rows)
})

test('the operating guide says what to do about every error code', () => {
  const [, table = ''] = guide.split('\n### What to do\n')
  const rows = (table.split('\n## ')[0] ?? '').split('\n').filter((line) => line.startsWith('| on '))
  const told = rows.flatMap((row) => (row.split(' | ')[0] ?? '').match(/ATOLL_[A-Z_]+/g) ?? [])
  expect(told.sort()).toEqual(Object.keys(ERROR_CODES).sort())
})
