import fc from 'fast-check'
import type { History, Upload } from '../src/history.ts'
import { MANIFEST_STATES, type Manifest } from '../src/manifest.ts'

const UUIDS = ['01', '02', '03', '04', '05', '06'].map((byte) => byte.repeat(16))

/** Uploads with odd numbers are inline. */
export function upload(uuid: string): Upload {
  const blocks = Number.parseInt(uuid.slice(0, 2), 16) % 2 === 1 ? 0 : 3
  return {
    uuid,
    blocks,
    content: {
      size: blocks === 0 ? 2 : 3 * 4096 - 1,
      md5: new Uint8Array(16).fill(7),
      contentType: 'text/plain',
      metadata: [['colour', 'blue']],
      blockBytes: 4096,
      inline: new Uint8Array(blocks === 0 ? 2 : 0),
      checksums: new Uint8Array(4 * blocks).fill(9),
    },
  }
}

/** A manifest in that state, with what an upload of that uuid always has. */
export function manifest(uuid: string, state: Manifest['state'], more: Partial<Manifest> = {}): Manifest {
  const { blocks, content } = upload(uuid)
  const active = state === 'active'
  return {
    uuid,
    state,
    blocks,
    sealed: true,
    leaseEndsMs: 0,
    removedMs: 0,
    content: active
      ? { ...content, version: Number.parseInt(uuid.slice(0, 2), 16) >> 1, modifiedMs: 5 }
      : undefined,
    ...more,
  }
}

const arbitraryManifest: fc.Arbitrary<Manifest> = fc
  .record({
    uuid: fc.constantFrom(...UUIDS),
    state: fc.constantFrom(...MANIFEST_STATES),
    estimate: fc.constantFrom(64, 256),
    atMs: fc.integer({ min: 1, max: 3 }),
    wasSealed: fc.boolean(),
  })
  .map(({ uuid, state, estimate, atMs, wasSealed }) => {
    if (upload(uuid).blocks === 0) return manifest(uuid, 'active')
    if (state === 'active') return manifest(uuid, 'active')
    const count = state === 'writing' || !wasSealed ? { blocks: estimate, sealed: false } : {}
    return manifest(uuid, state, {
      ...count,
      ...(state === 'writing' ? { leaseEndsMs: atMs } : { removedMs: atMs }),
    })
  })

/** Histories of one object as they may be met, with the same few uploads in all of them. */
export const arbitraryHistory: fc.Arbitrary<History> = fc
  .record({
    manifests: fc.uniqueArray(arbitraryManifest, { selector: ({ uuid }) => uuid, maxLength: 4 }),
    version: fc.integer({ min: 0, max: 3 }),
    uuid: fc.constantFrom(...UUIDS),
    atMs: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ manifests, version, uuid, atMs }) => ({
    retired: version === 0 ? { version: 0, uuid: '', atMs: 0 } : { version, uuid, atMs },
    manifests: new Map(manifests.map((each) => [each.uuid, each])),
  }))
