import { join } from 'node:path'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { describe, expect, it } from 'vitest'
import { packages, ROOT, read } from './repository.ts'

/**
 * publint looks at what would be published, so it needs a build. `npm run check` builds first, and is recognised by
 * the name that npm gives to the running script; `npm test` reports these tests as skipped.
 */
const built = process.env['npm_lifecycle_event'] === 'check'

describe.runIf(built)('what is published', () => {
  it.each(packages.filter(({ manifest }) => !manifest.private))('is in order: $path', async ({ path }) => {
    const { messages } = await publint({ pkgDir: join(ROOT, path), pack: false, strict: true })
    const manifest: Record<string, unknown> = JSON.parse(read(`${path}/package.json`))
    expect(messages.map((message) => formatMessage(message, manifest, { color: false }))).toEqual([])
  })
})
