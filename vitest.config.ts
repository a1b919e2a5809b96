import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** Packages resolve each other's sources through this condition, so that tests need no build. */
const conditions = ['@atoll/source', 'node', 'import', 'module', 'default']

/** Tests in a context of `node:vm`, which has globals of its own. */
const REALM = 'test/realm/**/*.test.ts'

const projects = ['packages', 'examples'].flatMap((group) =>
  readdirSync(new URL(group, import.meta.url)).map((name) => ({
    resolve: { conditions },
    ssr: { resolve: { conditions, externalConditions: conditions } },
    test: {
      name,
      root: `${group}/${name}`,
      include: ['test/**/*.test.ts'],
      exclude: [REALM],
      environment: 'node' as const,
      setupFiles: [fileURLToPath(new URL('packages/core/test/poison.ts', import.meta.url))],
      // Only what hangs meets these: on a busy machine everything takes ten times as long.
      testTimeout: 300_000,
      hookTimeout: 300_000,
    },
  })),
)

const realm = {
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    name: 'realm',
    root: 'packages/store',
    include: [REALM],
    environment: 'node' as const,
    pool: 'vmThreads' as const,
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
}

export default defineConfig({ test: { projects: [...projects, realm], passWithNoTests: false } })
