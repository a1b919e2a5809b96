import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { afterAll, expect, test } from 'vitest'
import { createNode } from '../src/index.ts'

const work = mkdtempSync(join(tmpdir(), 'atoll-failed-writes-'))
const small = join(work, 'small')
const isMounted = mountSmall()

afterAll(() => {
  if (isMounted) execFileSync('umount', [small])
  rmSync(work, { recursive: true, force: true })
})

/** A disk so small that LevelDB fills it. */
function mountSmall(): boolean {
  mkdirSync(small)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', small], { stdio: 'ignore' })
    return true
  } catch {
    process.stdout.write('a full disk is not tried: mount needs rights that this process does not have\n')
    return false
  }
}

async function bytesOf(body: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0
  for await (const chunk of body) bytes += chunk.length
  return bytes
}

test.skipIf(!isMounted)(
  'a node on plain classic-level whose disk was full keeps all that it has acknowledged since',
  async () => {
    const place = join(small, 'node')
    const acknowledged: string[] = []
    {
      await using node = await createNode({ storage: new ClassicLevel(place, { compression: false }) })
      await node.objects.createBucket('letters')
      const put = async (key: string) => {
        await node.objects.put('letters', key, new Uint8Array(10_000).fill(acknowledged.length))
        acknowledged.push(key)
      }
      let failure: unknown
      for (let at = 0; failure === undefined && at < 1000; at++) {
        failure = await put(`before${at}`).catch((error: unknown) => error)
      }
      expect(failure).toMatchObject({ code: 'ATOLL_DISK_FULL', transient: true })
      await expect(put('refused')).rejects.toMatchObject({ code: 'ATOLL_DISK_FULL', definite: true })
      // Reads go on while there is no room to open the database again.
      await new Promise((resolve) => setTimeout(resolve, 1500))
      const { body } = await node.objects.get('letters', 'before0')
      expect(await bytesOf(body)).toBe(10_000)
      expect(node.cluster.status().storage.failure).toMatch(/No space left/)
      execFileSync('mount', ['-o', 'remount,size=100m', small])
      while (node.cluster.status().storage.failure !== undefined)
        await new Promise((resolve) => setTimeout(resolve, 20))
      for (let at = 0; at < 20; at++) await put(`after${at}`)
    }
    await using node = await createNode({ storage: new ClassicLevel(place) })
    const { objects } = await node.objects.list('letters')
    const listed = new Set(objects.map(({ key }) => key))
    expect(acknowledged.filter((key) => !listed.has(key))).toEqual([])
    expect(acknowledged.filter((key) => key.startsWith('after'))).toHaveLength(20)
  },
  60_000,
)
