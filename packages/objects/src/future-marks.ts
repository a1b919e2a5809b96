import { comparePlaces, type History, isRemoved, NEVER, type Version } from './history.ts'
import type { Manifest } from './manifest.ts'

/** Which marks of time are believed. */
export interface Belief {
  /** Nothing was overwritten, deleted or written later than this. */
  readonly untilMs: number
  /**
   * No lease ends later than so long after that: the longest that any store may give. Who has one that is longer than this
   * store's renews it more seldom, and would be taken for dead.
   */
  readonly leaseMs: number
  /** When a mark that is not believed counts as made: now. At most `untilMs`. */
  readonly seenMs: number
}

/**
 * Puts the time at which they are seen in the place of marks that a clock has made which was ahead: else what they
 * stand on would stay until the time comes that it has shown. So the leeway counts from the first collection that sees
 * them, and an upload that is under way has a whole lease. Answers the same object if all is believed. The content of a
 * version never changes. Where a retired one without blocks tells of the future a note of when it was seen stands
 * beside it: a removed version of no blocks, which builds of before clear away as any.
 */
export function believed(history: History, belief: Belief): History {
  const { untilMs, seenMs } = belief
  const { retired } = history
  const changed = [...history.manifests.values()].flatMap((manifest) => {
    const other = believedManifest(manifest, belief)
    return other === manifest ? [] : [other]
  })
  const notes = futureRetired(history, untilMs)
    .map(({ uuid }) => noteOf(uuid))
    .filter((uuid) => !history.manifests.has(uuid))
    .map((uuid) => ({ ...NOTE, uuid, removedMs: seenMs }))
  const isMarkBelieved = retired.version === NEVER.version || retired.atMs <= untilMs
  if (isMarkBelieved && changed.length + notes.length === 0) return history
  const manifests = new Map(history.manifests)
  for (const manifest of [...changed, ...notes]) manifests.set(manifest.uuid, manifest)
  return { retired: isMarkBelieved ? retired : { ...retired, atMs: seenMs }, manifests }
}

/** Whether a version was seen by a collection at that time or before, when it told of the future. */
export function wasSeenBy(
  { manifests }: History,
  { uuid }: Pick<Version, 'uuid'>,
  beforeMs: number,
): boolean {
  const note = manifests.get(noteOf(uuid))
  return note !== undefined && note.removedMs <= beforeMs
}

const NOTE = {
  state: 'pending-delete',
  blocks: 0,
  sealed: true,
  leaseEndsMs: 0,
  content: undefined,
} as const satisfies Partial<Manifest>

function believedManifest(manifest: Manifest, { untilMs, leaseMs, seenMs }: Belief): Manifest {
  if (manifest.state === 'writing' && manifest.leaseEndsMs > untilMs + leaseMs)
    return { ...manifest, leaseEndsMs: seenMs + leaseMs }
  if (isRemoved(manifest) && manifest.removedMs > untilMs) return { ...manifest, removedMs: seenMs }
  return manifest
}

function futureRetired({ retired, manifests }: History, untilMs: number): readonly Manifest[] {
  return [...manifests.values()].filter(
    ({ uuid, blocks, content }) =>
      content !== undefined &&
      blocks === 0 &&
      content.modifiedMs > untilMs &&
      comparePlaces({ uuid, version: content.version }, retired) <= 0,
  )
}

/** The inverse of a uuid, which no uuid is: its bits for the version differ. */
function noteOf(uuid: string): string {
  return uuid.replace(/./g, (digit) => (15 - Number.parseInt(digit, 16)).toString(16))
}
