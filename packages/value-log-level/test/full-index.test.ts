import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { afterAll, expect, test } from 'vitest'
import { nodeFiles, nodeRuntime, ValueLogLevel } from '../src/index.ts'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const
const work = mkdtempSync(join(tmpdir(), 'atoll-full-index-'))
const small = join(work, 'small')
const isMounted = mountSmall()

afterAll(() => {
  if (isMounted) execFileSync('umount', [small])
  rmSync(work, { recursive: true, force: true })
})

/** A disk of its own for the index, so small that LevelDB fills it. */
function mountSmall(): boolean {
  mkdirSync(small)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', small], { stdio: 'ignore' })
    return true
  } catch {
    process.stdout.write('a full disk is not tried: mount needs rights that this process does not have\n')
    return false
  }
}

test.skipIf(!isMounted)(
  'LevelDB that failed for want of room takes nothing more; with room it is opened again, and lacks nothing',
  async () => {
    const inner = new ClassicLevel(join(small, 'index'), { ...VIEW, compression: false })
    const parts = { inner, files: nodeFiles(join(work, 'log')) }
    const db = new ValueLogLevel<string, Uint8Array>(nodeRuntime(), parts, { valueEncoding: 'view' })
    const acknowledged: string[] = []
    let failure: unknown
    for (let n = 0; failure === undefined && n < 20_000; n++) {
      try {
        await db.put(`k${n}`, Buffer.alloc(2000, n), { sync: true })
        acknowledged.push(`k${n}`)
      } catch (error) {
        failure = error
      }
    }
    expect(failure).toMatchObject({ code: 'ATOLL_DISK_FULL', details: { reason: 'ENOSPC' } })
    await expect(db.put('refused', Buffer.of(1), { sync: true })).rejects.toMatchObject({ transient: true })
    execFileSync('mount', ['-o', 'remount,size=200m', small])
    await until(() => db.failure === undefined)
    await db.put('after', Buffer.of(1), { sync: true })
    const keys = new Set(await db.keys().all())
    expect(acknowledged.filter((key) => !keys.has(key))).toEqual([])
    await db.close()
  },
)

/** Looks until it is so; the test's own time limit ends it otherwise. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 20))
}
