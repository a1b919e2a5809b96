import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { exists, filesBelow, packages, ROOT, read } from './repository.ts'

interface Block {
  readonly page: string
  readonly line: number
  readonly code: string
}

/**
 * Programs and parts of them that a page shows. Those in JavaScript run in tests of `store`, and must be TypeScript as
 * well, for a reader who pastes them.
 */
function blocksOf(page: string): Block[] {
  const blocks: Block[] = []
  for (const match of read(page).matchAll(/^```(?:ts|js)\n([\s\S]*?)^```/gm)) {
    const line = read(page).slice(0, match.index).split('\n').length
    blocks.push({ page, line, code: match[1] ?? '' })
  }
  return blocks
}

/** What a page takes for given: its reader has it, and showing how to make it would hide what the page is about. */
const GIVEN: Readonly<Record<string, string>> = {
  'docs/NODES.md': `import { openNode, type OpenNodeOptions } from '@atoll/store'
    declare const path: string, name: string, transport: NonNullable<OpenNodeOptions['transport']>`,
  'docs/OPERATING.md': `import type { AtollNode } from '@atoll/store'
    declare const node: AtollNode`,
  'examples/03-your-own-test/README.md': `import { createWorld } from '@atoll/sim'
    import { createCluster } from '@atoll/node'`,
  'packages/causality/README.md': `import type { Clock, Random } from '@atoll/core'
    declare const crc32: (bytes: Uint8Array) => number, random: Random, clock: Clock`,
  'packages/conformance/README.md': `import type { TestedDatabase } from '@atoll/conformance'
    declare const MyLevel: new (directory: string, options?: object) => TestedDatabase
    declare const freshDirectory: () => string, directoryOf: (closed: unknown) => string`,
  'packages/consensus/README.md': `import { type Runtime, utf8 } from '@atoll/core'
    import type { Acceptors } from '@atoll/consensus'
    declare const runtime: Runtime, acceptors: Acceptors`,
  'packages/coordinator/README.md': `import { type Runtime, utf8 } from '@atoll/core'
    import type { Liveness, Replicas } from '@atoll/coordinator'
    import type { Placement } from '@atoll/ring'
    declare const runtime: Runtime, replicas: Replicas, liveness: Liveness, placement: Placement`,
  'packages/gossip/README.md': `import { type Runtime, utf8 } from '@atoll/core'
    import type { GossipCollaborators } from '@atoll/gossip'
    declare const runtime: Runtime, endpoint: GossipCollaborators['endpoint'], document: GossipCollaborators['document']`,
  'packages/membership/README.md': `import type { Runtime } from '@atoll/core'
    import type { MembershipCollaborators } from '@atoll/membership'
    declare const runtime: Runtime, endpoint: MembershipCollaborators['endpoint']
    declare const storage: MembershipCollaborators['storage']`,
  'packages/objects/README.md': `import { createReadStream } from 'node:fs'
    import type { ServerResponse } from 'node:http'
    import { Readable } from 'node:stream'
    import { pipeline } from 'node:stream/promises'
    import type { Runtime } from '@atoll/core'
    import { ClassicLevel } from 'classic-level'
    declare const runtime: Runtime, response: ServerResponse`,
  'packages/handoff/README.md': `import type { Runtime } from '@atoll/core'
    import type { RpcEndpoint } from '@atoll/transport'
    import type { VnodeHost } from '@atoll/vnode'
    declare const runtime: Runtime, host: VnodeHost, endpoint: RpcEndpoint, owners: readonly string[]`,
  'packages/replicas/README.md': `import type { KeyId } from '@atoll/core'
    import type { RpcEndpoint } from '@atoll/transport'
    import type { PutRequest, VnodeHost } from '@atoll/vnode'
    declare const host: VnodeHost, endpoint: RpcEndpoint, owners: readonly string[]
    declare const id: KeyId, record: PutRequest['record']`,
  'packages/ring/README.md': 'declare const bucket: Uint8Array, key: Uint8Array',
  'packages/transport/README.md': `import { fromUtf8, type Runtime, utf8 } from '@atoll/core'
    declare const runtime: Runtime`,
  'packages/transport-tcp/README.md': `import type { Runtime } from '@atoll/core'
    import { tcpTransport, type TlsOptions } from '@atoll/transport-tcp'
    declare const runtime: Runtime, tls: TlsOptions`,
  'packages/vnode/README.md': `import { type Runtime, utf8 } from '@atoll/core'
    import { ClassicLevel } from 'classic-level'
    import type { CoordinateRequest } from '@atoll/vnode'
    declare const runtime: Runtime
    declare const content: CoordinateRequest['content'], valueCrc32: number, writeId: Uint8Array`,
}

/** Libraries that pages import, where one of the packages has them. */
const LIBRARIES = ['classic-level', 'memory-level', 'vitest']

/** As if all packages, and the libraries of pages, were installed in the folder. */
function installIn(folder: string): void {
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, '@atoll'), { recursive: true })
  for (const { manifest, path } of packages)
    if (manifest.name.startsWith('@atoll/')) symlinkSync(join(ROOT, path), join(modules, manifest.name))
  for (const library of LIBRARIES) {
    const homes = ['.', ...packages.map(({ path }) => path)].map((path) => `${path}/node_modules/${library}`)
    const home = homes.find(exists)
    if (home !== undefined) symlinkSync(realpathSync(join(ROOT, home)), join(modules, library))
  }
}

const CONFIG = {
  extends: join(ROOT, 'packages/tidy/tsconfig.tests.json'),
  compilerOptions: {
    typeRoots: [join(ROOT, 'node_modules/@types')],
    // A page shows a result by naming it, and need not use everything that it has.
    noUnusedLocals: false,
    noUnusedParameters: false,
  },
  include: ['*.mts'],
}

it('every program that a page shows compiles', () => {
  const pages = filesBelow('').filter((path) => path.endsWith('.md') && !path.startsWith('docs/decisions/'))
  const blocks = pages.flatMap(blocksOf)
  const folder = mkdtempSync(join(tmpdir(), 'atoll-pages-'))
  try {
    installIn(folder)
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(CONFIG))
    for (const { page, line, code } of blocks) {
      // A whole program makes its own node.
      const given = /^const node\b/m.test(code) ? '' : (GIVEN[page] ?? '').replaceAll('\n', ';')
      const file = `${page.replaceAll('/', '.')}.${line}.mts`
      // On one line, so that the lines of errors are those of the block.
      writeFileSync(join(folder, file), `${given};export {};${code}`)
    }
    let said = ''
    try {
      execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8', cwd: folder })
    } catch (error) {
      said = error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error)
    }
    // Sources have a test of their own.
    expect(said.split('\n').filter((line) => line.includes('.mts('))).toEqual([])
    expect(said).not.toContain('TS18003')
    expect(blocks.length).toBeGreaterThan(15)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
