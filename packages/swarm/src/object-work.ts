import type { AtollNode } from '@atoll/node'
import { MANIFESTS_TYPE, type PutResult } from '@atoll/objects'
import type { Operation } from '@atoll/sim'
import { broken, inChunks, slowly } from './bodies.ts'
import { orNothing, type Work } from './client.ts'
import { BUCKET } from './names.ts'
import { deny, objectKeys, readObject, record, type Scene } from './scene.ts'

const SMALL = { min: 12, max: 400 }
const LARGE = { min: 300, max: 16_000 }
const MOST_IN_BURST = 5
/** Longer than a put takes mostly. */
const BURST_MS = 60

/** Whoever puts is told of its own body, also where several are written together. */
async function own(scene: Scene, name: string, put: Promise<PutResult>): Promise<PutResult> {
  const result = await put
  const told = scene.bodies.byEtag(result.etag)?.name
  if (told !== name)
    scene.complaints.push(`a put of ${name} was answered with the etag of ${told ?? 'nothing'}`)
  return result
}

/** Where the record of an object is. */
const at = (through: AtollNode) => ({ through, type: MANIFESTS_TYPE })

const put =
  (size: typeof SMALL): Work =>
  async (scene, { name: client, prng, nextName }, node) => {
    const key = prng.pick(objectKeys(scene.options))
    const { name, bytes } = scene.bodies.make(nextName(), prng.between(size.min, size.max), prng)
    await record(scene, scene.objects, {
      intent: { client, kind: 'put', key, value: name },
      write: () =>
        own(scene, name, node.objects.put(BUCKET, key, prng.chance(500) ? bytes : inChunks(bytes, prng))),
      ...at(node),
    })
  }

/** As many as go together at one node, and some that come when the first of them is being written. */
export const putInBurst: Work = async (scene, { name: client, prng, nextName }, node) => {
  const key = prng.pick(objectKeys(scene.options))
  const { clock } = scene.world.runtime(client)
  const puts = Array.from({ length: prng.between(2, MOST_IN_BURST) }, async () => {
    const size = prng.chance(700) ? SMALL : LARGE
    const { name, bytes } = scene.bodies.make(nextName(), prng.between(size.min, size.max), prng)
    await clock.sleep(prng.between(0, BURST_MS))
    await record(scene, scene.objects, {
      intent: { client, kind: 'put', key, value: name },
      write: () => own(scene, name, node.objects.put(BUCKET, key, bytes)),
      ...at(node),
    })
  })
  await Promise.all(puts)
}

/** A body that takes its time: what goes on in between may go on for longer than a lease. */
export const putSlowly: Work = async (scene, { name: client, prng, nextName }, node) => {
  const key = prng.pick(objectKeys(scene.options))
  const { name, bytes } = scene.bodies.make(nextName(), prng.between(6000, LARGE.max), prng)
  const { clock } = scene.world.runtime(client)
  const pauseMs = prng.between(1, scene.options.durationMs / 4)
  await record(scene, scene.objects, {
    intent: { client, kind: 'put', key, value: name },
    write: () =>
      node.objects.put(
        BUCKET,
        key,
        slowly(inChunks(bytes, prng), () => clock.sleep(pauseMs)),
      ),
    ...at(node),
  })
}

/** Nothing of it may ever be seen. */
const putBroken: Work = async (scene, { name: client, prng, nextName }, node) => {
  const key = prng.pick(objectKeys(scene.options))
  const { name, bytes } = scene.bodies.make(nextName(), prng.between(LARGE.min, LARGE.max), prng)
  const operation = await record(scene, scene.objects, {
    intent: { client, kind: 'put', key, value: name },
    write: () => node.objects.put(BUCKET, key, broken(bytes, prng)),
    ...at(node),
    mayFail: true,
  })
  if (operation.outcome === 'ok') scene.complaints.push(`a put of a broken body was acknowledged: ${name}`)
}

/** The caller loses patience. */
const putAborted: Work = async (scene, { name: client, prng, nextName }, node) => {
  const key = prng.pick(objectKeys(scene.options))
  const { name, bytes } = scene.bodies.make(nextName(), prng.between(LARGE.min, LARGE.max), prng)
  const patience = new AbortController()
  const { clock } = scene.world.runtime(client)
  const timer = clock.timer(prng.between(0, 20), () => patience.abort(new Error('no patience')))
  await record(scene, scene.objects, {
    intent: { client, kind: 'put', key, value: name },
    write: () => node.objects.put(BUCKET, key, inChunks(bytes, prng), { signal: patience.signal }),
    ...at(node),
    mayFail: true,
  })
  timer.cancel()
}

const remove: Work = async (scene, { name: client, prng }, node) => {
  const key = prng.pick(objectKeys(scene.options))
  let deleted = true
  const operation = await record(scene, scene.objects, {
    intent: { client, kind: 'delete', key },
    run: async () => {
      deleted = (await node.objects.delete(BUCKET, key)).deleted
    },
  })
  if (operation.outcome === 'ok' && !deleted) deny(scene, operation)
}

/** Every second client gives back what it has read. */
function chunksOf(client: string): 'own' | 'lent' {
  return /[02468]$/.test(client) ? 'lent' : 'own'
}

const get: Work = async (scene, { name: client, prng }, node) => {
  const key = prng.pick(objectKeys(scene.options))
  const repair = prng.chance(200)
  await record(scene, scene.objects, {
    intent: { client, kind: 'get', key },
    run: () =>
      orNothing(readObject(scene, node, { key, ...(repair && { repair }), chunks: chunksOf(client) })),
  })
}

/** Who reads slowly reads on in a version that was replaced meanwhile. */
export const getSlowly: Work = async (scene, { name: client, prng }, node) => {
  const key = prng.pick(objectKeys(scene.options))
  const { clock } = scene.world.runtime(client)
  const pauseMs = prng.between(1, scene.options.durationMs / 4)
  await record(scene, scene.objects, {
    intent: { client, kind: 'get', key },
    run: () =>
      orNothing(
        readObject(scene, node, { key, chunks: chunksOf(client), pause: () => clock.sleep(pauseMs) }),
      ),
  })
}

const getRange: Work = async (scene, { name: client, prng }, node) => {
  const key = prng.pick(objectKeys(scene.options))
  const start = prng.between(0, 12_000)
  const range = { start, end: start + prng.between(1, 6000) }
  await record(scene, scene.objects, {
    intent: { client, kind: 'get', key },
    run: () => orNothing(readObject(scene, node, { key, range, chunks: chunksOf(client) })),
    mayFail: true,
  })
}

const list: Work = async (scene, { name: client, prng }, node) => {
  const limit = prng.between(1, 4)
  const listed: string[] = []
  const operation = await record(scene, scene.objects, {
    intent: { client, kind: 'list', key: BUCKET },
    run: async () => {
      let after: string | undefined
      do {
        const page = await node.objects.list(BUCKET, { after, limit })
        listed.push(...page.objects.map(({ key }) => key))
        after = page.next
      } while (after !== undefined)
      return listed.join(' ')
    },
  })
  if (operation.outcome === 'ok') checkOrder(scene, operation, listed)
}

/** All keys begin with `o`: either that is the one folder, or those that go on behind a digit are in one. */
const listFolders: Work = async (scene, { name: client, prng }, node) => {
  const limit = prng.between(1, 4)
  const digit = String(prng.between(1, 3))
  const by = prng.chance(500) ? { delimiter: 'o' } : { delimiter: digit, prefix: 'o' }
  await record(scene, scene.objects, {
    intent: { client, kind: 'folders', key: BUCKET },
    run: async () => {
      const shown: string[] = []
      let after: string | undefined
      do {
        const page = await node.objects.list(BUCKET, { ...by, after, limit })
        shown.push(...page.objects.map(({ key }) => key), ...page.prefixes.map((prefix) => `${prefix}*`))
        after = page.next
      } while (after !== undefined)
      return shown.join(' ')
    },
  })
}

function checkOrder({ options, complaints }: Scene, { client }: Operation, listed: readonly string[]): void {
  const expected = objectKeys(options).filter((key) => listed.includes(key))
  if (expected.join() !== listed.join())
    complaints.push(`${client} was given the listing ${listed.join(' ')}`)
}

export const objectWork: readonly (readonly [number, Work])[] = [
  [3, put(SMALL)],
  [3, put(LARGE)],
  [1, putBroken],
  [1, putAborted],
  [2, remove],
  [4, get],
  [2, getRange],
  [2, list],
  [1, listFolders],
]
