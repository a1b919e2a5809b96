import { assert } from '@atoll/core'
import { type Content, joinManifests, type Manifest, rankOf } from './manifest.ts'

/** A place in the order of versions, and the wall time at which it was reached. */
export interface Mark {
  readonly version: number
  readonly uuid: string
  readonly atMs: number
}

/**
 * All that is known of the versions of one object: the value of its key-value record. A join semilattice, so that
 * concurrent writes may be joined in any order. A join drops no active version, not even a retired one: so whoever has
 * written one and finds it gone knows that a later writer has seen it.
 */
export interface History {
  /**
   * No version up to this one is visible, whether it is known here or not. It outlives the versions that it retires,
   * so that a copy of them that turns up later stays retired.
   */
  readonly retired: Mark
  /** By uuid. */
  readonly manifests: ReadonlyMap<string, Manifest>
}

/** A manifest that is active. */
export interface Version {
  readonly uuid: string
  readonly blocks: number
  readonly content: Content
}

export const NEVER: Mark = { version: 0, uuid: '', atMs: 0 }
export const NO_HISTORY: History = { retired: NEVER, manifests: new Map() }

export function compareMarks(a: Mark, b: Mark): number {
  return comparePlaces(a, b) || a.atMs - b.atMs
}

export function joinHistories(a: History, b: History): History {
  const manifests = new Map(a.manifests)
  for (const [uuid, manifest] of b.manifests) {
    const known = manifests.get(uuid)
    manifests.set(uuid, known === undefined ? manifest : joinManifests(known, manifest))
  }
  return { retired: laterMark(a.retired, b.retired), manifests }
}

/** The version that readers see. */
export function visibleOf(history: History): Version | undefined {
  let best: Version | undefined
  let place: Place = history.retired
  for (const version of activesOf(history)) {
    if (comparePlaces(placeOf(version), place) <= 0) continue
    best = version
    place = placeOf(version)
  }
  return best
}

/** Adds a finished upload as the latest version, and retires those before it. */
export function activate(history: History, upload: Upload, nowMs: number): History {
  const latest = latestMark(history, nowMs)
  const version = Math.max(nowMs, latest.version + 1)
  const { uuid, blocks } = upload
  const { size, md5, contentType, metadata, blockBytes, inline, checksums } = upload.content
  const manifest: Manifest = {
    uuid,
    state: 'active',
    blocks,
    sealed: true,
    leaseEndsMs: 0,
    removedMs: 0,
    content: { version, size, md5, contentType, metadata, modifiedMs: nowMs, blockBytes, inline, checksums },
  }
  const { retired, manifests } = retire(history, latest)
  return { retired, manifests: new Map(manifests).set(uuid, manifest) }
}

/**
 * As if the uploads had been activated one after the other, each over the one before: the last is the latest version. Those
 * with blocks wait for collection; the others were never there.
 */
export function activateAll(history: History, uploads: readonly Upload[], nowMs: number): History {
  const last = uploads.at(-1)
  assert(last !== undefined, 'at least one upload becomes a version')
  const overwritten = uploads.filter((upload) => upload !== last && upload.blocks > 0)
  if (overwritten.length === 0) return activate(history, last, nowMs)
  const manifests = new Map(history.manifests)
  for (const { uuid, blocks } of overwritten) manifests.set(uuid, removed(uuid, blocks, nowMs))
  return activate({ ...history, manifests }, last, nowMs)
}

/** A complete body that is to become a version. */
export interface Upload {
  readonly uuid: string
  readonly blocks: number
  readonly content: Omit<Content, 'version' | 'modifiedMs'>
}

/**
 * Hides every version up to the mark. Those with blocks wait for collection; the others are gone at once, for whoever
 * reads them has them already. A version is not out of use before it was written, whatever the clock of its last writer
 * says: else the blocks of a new one go at once when that clock is behind. Answers the same object if nothing changes.
 */
export function retire(history: History, mark: Mark): History {
  const retired = laterMark(history.retired, mark)
  const hidden = activesOf(history).filter((version) => comparePlaces(placeOf(version), retired) <= 0)
  if (hidden.length === 0 && comparePlaces(retired, history.retired) === 0) return history
  const manifests = new Map(history.manifests)
  for (const { uuid, blocks, content } of hidden) {
    if (blocks === 0) manifests.delete(uuid)
    else manifests.set(uuid, removed(uuid, blocks, Math.max(mark.atMs, content.modifiedMs)))
  }
  return { retired, manifests }
}

/** The place of the latest version there ever was. */
export function latestMark(history: History, atMs: number): Mark {
  let latest = history.retired
  for (const { uuid, content } of history.manifests.values()) {
    if (content === undefined) continue
    const mark = { version: content.version, uuid, atMs }
    if (comparePlaces(mark, latest) > 0) latest = mark
  }
  return latest
}

/**
 * Retires versions with blocks that another version has overtaken without its writer knowing of them. Answers the same
 * object if there are none, which is the rule.
 */
export function settle(history: History, nowMs: number): History {
  const visible = visibleOf(history)?.uuid
  const overtaken = activesOf(history).filter(({ uuid, blocks }) => blocks > 0 && uuid !== visible)
  return overtaken.reduce(
    (settled, version) => retire(settled, { ...placeOf(version), atMs: nowMs }),
    history,
  )
}

/**
 * What becomes of a version with blocks that was written beside others: it goes above them all, unless one of them has
 * retired it, and those stay as they are; of those that it is above already it retires the ones that are over by that.
 * An upload is retired only by one that began above it. So of several that do this at the same time never each is
 * retired by another.
 */
export function ascend(history: History, uuid: string, nowMs: number): History {
  const manifest = history.manifests.get(uuid)
  const content = manifest?.content
  if (manifest === undefined || content === undefined || visibleOf(history)?.uuid === uuid)
    return settle(history, nowMs)
  const version = Math.max(nowMs, latestMark(history, nowMs).version + 1)
  const risen = { ...manifest, content: { ...content, version, modifiedMs: nowMs } }
  return { ...history, manifests: new Map(history.manifests).set(uuid, risen) }
}

/** Marks uploads whose lease is over as deleted. Answers the same object if there are none. */
export function expire(history: History, nowMs: number): History {
  const dead = [...history.manifests.values()].filter(
    ({ state, leaseEndsMs }) => state === 'writing' && leaseEndsMs <= nowMs,
  )
  if (dead.length === 0) return history
  const manifests = new Map(history.manifests)
  for (const manifest of dead) {
    manifests.set(manifest.uuid, {
      ...manifest,
      state: 'deleted',
      leaseEndsMs: 0,
      removedMs: manifest.leaseEndsMs,
    })
  }
  return { ...history, manifests }
}

/** Notes of deleted uploads that they have no blocks any more. Answers the same object if there is nothing to note. */
export function emptied(history: History, uuids: readonly string[]): History {
  const changed = [...history.manifests.values()].filter(
    ({ uuid, state, blocks }) => state === 'deleted' && blocks > 0 && uuids.includes(uuid),
  )
  if (changed.length === 0) return history
  const manifests = new Map(history.manifests)
  for (const manifest of changed) manifests.set(manifest.uuid, { ...manifest, blocks: 0, sealed: true })
  return { ...history, manifests }
}

/** The manifests that are out of use since `beforeMs` or longer. */
export function dueManifests(history: History, beforeMs: number): readonly Manifest[] {
  return [...history.manifests.values()].filter(
    (manifest) => isRemoved(manifest) && manifest.removedMs <= beforeMs,
  )
}

export function isRemoved({ state }: Manifest): boolean {
  return state === 'pending-delete' || state === 'deleted'
}

/** The uploads that a collection took for dead, and that may still have blocks. */
export function deadUploads(history: History): readonly Manifest[] {
  return [...history.manifests.values()].filter(({ state, blocks }) => state === 'deleted' && blocks > 0)
}

/** Whether nobody has decided against an upload, as far as this history tells. */
export function isAlive(history: History, uuid: string): boolean {
  const manifest = history.manifests.get(uuid)
  return manifest !== undefined && (manifest.leaseEndsMs > 0 || rankOf(manifest.state) >= rankOf('active'))
}

/**
 * Whether writing this history is for somebody who knows that nothing else was decided since it was read: else what others
 * have collected meanwhile would come back with it. `own` is the upload of the writer, who may say of it what it likes.
 */
export function needsGuard(history: History, own?: string): boolean {
  return [...history.manifests.values()].some(
    ({ uuid, state, leaseEndsMs }) => uuid !== own && (state === 'active' || leaseEndsMs > 0),
  )
}

/** The same without what needs a guard, if that is only that uploads are under way: those then have to prove it anew. */
export function withoutProofs(history: History, own?: string): History {
  const manifests = new Map(history.manifests)
  for (const [uuid, manifest] of manifests)
    if (uuid !== own && manifest.leaseEndsMs > 0) manifests.set(uuid, { ...manifest, leaseEndsMs: 0 })
  return { ...history, manifests }
}

/** Forgets some uploads altogether. Answers the same object if none of them is known. */
export function forget(history: History, uuids: readonly string[]): History {
  if (!uuids.some((uuid) => history.manifests.has(uuid))) return history
  const manifests = new Map(history.manifests)
  for (const uuid of uuids) manifests.delete(uuid)
  return { ...history, manifests }
}

/** Forgets an upload of which the blocks are gone, unless it is a version after all. */
export function forgetUpload(history: History, uuid: string): History {
  return history.manifests.get(uuid)?.state === 'active' ? history : forget(history, [uuid])
}

/** Forgets retired versions without blocks that are old enough. Answers the same object if there are none. */
export function forgetRetired(history: History, isOld: (version: Version) => boolean): History {
  const { retired } = history
  if (retired.version === 0) return history
  const old = activesOf(history).filter(
    (version) => version.blocks === 0 && comparePlaces(placeOf(version), retired) <= 0 && isOld(version),
  )
  return forget(
    history,
    old.map(({ uuid }) => uuid),
  )
}

/** Forgets the mark itself if nothing else is left and it is old enough. Answers the same object if it stays. */
export function forgetMark(history: History, beforeMs: number): History {
  const { retired, manifests } = history
  return retired.version > 0 && manifests.size === 0 && retired.atMs <= beforeMs ? NO_HISTORY : history
}

/** True if there is nothing worth a record. */
export function isEmpty({ retired, manifests }: History): boolean {
  return manifests.size === 0 && retired.version === 0
}

function removed(uuid: string, blocks: number, removedMs: number): Manifest {
  return {
    uuid,
    state: 'pending-delete',
    blocks,
    sealed: true,
    leaseEndsMs: 0,
    removedMs,
    content: undefined,
  }
}

function activesOf({ manifests }: History): Version[] {
  const actives: Version[] = []
  for (const { uuid, blocks, content } of manifests.values())
    if (content !== undefined) actives.push({ uuid, blocks, content })
  return actives
}

interface Place {
  readonly version: number
  readonly uuid: string
}

function placeOf({ uuid, content }: Version): Place {
  return { version: content.version, uuid }
}

/** By version, then by uuid: two writers that did not know of each other may pick the same version. */
export function comparePlaces(a: Place, b: Place): number {
  if (a.version !== b.version) return a.version - b.version
  return a.uuid === b.uuid ? 0 : a.uuid < b.uuid ? -1 : 1
}

function laterMark(a: Mark, b: Mark): Mark {
  return compareMarks(a, b) >= 0 ? a : b
}
