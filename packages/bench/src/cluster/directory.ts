import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Runs something with a directory that is removed afterwards. */
export async function inDirectory(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'atoll-bench-'))
  try {
    await run(directory)
  } finally {
    // A process that was just killed may still be at it.
    await rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
  }
}
