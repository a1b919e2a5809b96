import { type Draws, integer, oneOf, sometimes } from '@atoll/sim'
import type { HouseOptions } from './options.ts'

/**
 * What a run may be about. Some faults show only where a few things meet: with every option drawn by itself they hardly
 * ever do. So some seeds draw a theme, and a world in which little else happens.
 *
 * - `copy`: a node is put back from a copy of its disk, and writes the same again at once.
 * - `raise`: sets get more replicas where few are near each other.
 * - `lease`: uploads go on for longer than their lease, while others collect.
 * - `clock`: one wall clock after the other is wrong by days, while others collect and read slowly.
 * - `older`: nodes are upgraded one after the other, and convert what they find while clients are busy.
 * - `disks`: three nodes, of which writes fail now on this disk and now on that one.
 * - `stranger`: another cluster answers under the name of a member.
 * - `few`: more nodes are down than the quorum bears, so that fallbacks alone answer.
 * - `stand-in`: who is replaced or leaves while a node is down gives way to those that stand in for that.
 * - `residue`: what is late meets what was deleted meanwhile, and in the end no block may be left.
 */
export type Theme =
  | 'none'
  | 'copy'
  | 'raise'
  | 'lease'
  | 'stranger'
  | 'few'
  | 'residue'
  | 'clock'
  | 'older'
  | 'disks'
  | 'stand-in'

/** Busy clients of few keys, and no more changes and faults than a theme names. */
const BUSY: Partial<Draws<HouseOptions>> = {
  keys: integer(1, 2),
  clients: integer(3, 4),
  operations: integer(15, 25),
  blackout: () => false,
  clearance: () => false,
  collecting: () => false,
  buckets: () => false,
  recordBytes: () => 0,
  inlineBytes: () => 0,
  setReplicas: () => 3,
  bursts: () => false,
  torn: () => false,
  lends: () => false,
  faults: () => ({}),
  changes: () => ({}),
}

const THEMES: Readonly<Record<Exclude<Theme, 'none'>, Partial<Draws<HouseOptions>>>> = {
  copy: {
    ...BUSY,
    nodes: integer(3, 5),
    partitions: oneOf(8, 16),
    sloppy: () => false,
    durationMs: oneOf(500, 2000),
    timeoutMs: oneOf(3000, 10_000),
    faults: sometimes(500, () => ({ 'slow-disk': 2, reset: 1 }), {}),
    changes: () => ({ 'put-back': 1 }),
  },
  raise: {
    ...BUSY,
    keys: () => 3,
    nodes: () => 6,
    partitions: () => 32,
    sloppy: () => false,
    durationMs: () => 6000,
    maxDelayMs: () => 20,
    setReplicas: () => 1,
    faults: () => ({ partition: 5, 'slow-disk': 3, weather: 3 }),
    changes: () => ({ raise: 1 }),
  },
  lease: {
    ...BUSY,
    keys: () => 3,
    operations: integer(4, 8),
    collecting: () => true,
    durationMs: () => 6000,
    timeoutMs: () => 10_000,
    faults: () => ({ suspend: 2, lapse: 3 }),
  },
  clock: {
    ...BUSY,
    keys: () => 1,
    operations: integer(20, 30),
    nodes: () => 3,
    collecting: () => true,
    sloppy: () => false,
    durationMs: () => 6000,
    timeoutMs: () => 10_000,
    faults: () => ({ 'far-skew': 1 }),
  },
  disks: {
    ...BUSY,
    keys: () => 2,
    nodes: () => 3,
    clients: () => 4,
    operations: () => 20,
    faults: () => ({ 'failing-disk': 8 }),
  },
  'stand-in': {
    ...BUSY,
    sloppy: () => true,
    nodes: integer(5, 6),
    partitions: oneOf(8, 16),
    keys: () => 3,
    operations: () => 30,
    durationMs: () => 500,
    timeoutMs: () => 10_000,
    changes: () => ({ down: 2, replace: 2, leave: 1, join: 1 }),
  },
  older: {
    ...BUSY,
    keys: () => 3,
    nodes: integer(3, 5),
    partitions: oneOf(8, 16),
    inlineBytes: integer(1, 200),
    durationMs: oneOf(500, 2000),
    timeoutMs: () => 10_000,
    faults: sometimes(500, () => ({ partition: 2, 'slow-disk': 3, crash: 1 }), {}),
    changes: () => ({ upgrade: 1 }),
  },
  stranger: { ...BUSY, changes: () => ({ impostor: 1 }) },
  few: {
    ...BUSY,
    sloppy: () => true,
    nodes: () => 5,
    keys: () => 3,
    operations: () => 40,
    durationMs: () => 6000,
    timeoutMs: () => 3000,
    maxDelayMs: () => 1,
    faults: () => ({ crash: 5, reset: 2 }),
    maxDown: () => 3,
  },
  residue: {
    ...BUSY,
    clearance: () => true,
    faults: () => ({ partition: 3, weather: 3, 'slow-disk': 3 }),
  },
}

/** How everything is drawn that a theme is about. */
export function drawsOfTheme({ theme }: HouseOptions): Partial<Draws<HouseOptions>> {
  return theme === 'none' ? {} : THEMES[theme]
}
