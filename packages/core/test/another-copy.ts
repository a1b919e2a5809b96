import { vi } from 'vitest'

/** This package once more, as a process has it whose dependencies bring two versions of it. */
export async function anotherCopy(): Promise<typeof import('../src/index.ts')> {
  vi.resetModules()
  return import('../src/index.ts')
}
