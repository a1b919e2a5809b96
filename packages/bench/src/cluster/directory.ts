import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Runs something with a directory that is removed afterwards. */
export async function inDirectory<T>(run: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'atoll-bench-'))
  try {
    return await run(directory)
  } finally {
    // A process that was just killed may still be at it.
    await rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
  }
}
