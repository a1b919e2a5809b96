import { LATEST_WALL_MS } from '@atoll/core'
import type { ClockReadings } from './ports.ts'

/** What the right time is at this moment, as far as the clocks of a cluster tell. */
export interface AgreedTime {
  /** No later than what some clock says that is right. */
  readonly earliestMs: number
  /** No earlier than what some clock says that is right. */
  readonly latestMs: number
}

/**
 * The time that holds if fewer than half of the members have a wrong clock, and whoever has not answered may have a
 * right one: of the clocks, in order, those on either side of the middle, and further outwards by as many as do not
 * answer (K. Marzullo, "Maintaining the Time in a Distributed System", 1983, with clocks as points). Undefined where no
 * majority of the members answers.
 */
export function agreedTime({ members, wallMs }: ClockReadings): AgreedTime | undefined {
  const count = wallMs.length
  if (count <= members / 2) return undefined
  const wrong = Math.floor((members - 1) / 2)
  const clocks = wallMs
    .map((ms) => Math.min(LATEST_WALL_MS, Math.max(0, Math.floor(ms))))
    .sort((a, b) => a - b)
  const earliestMs = clocks[Math.min(Math.ceil(count / 2), count - wrong) - 1]
  const latestMs = clocks[Math.max(Math.floor(count / 2), wrong)]
  return earliestMs === undefined || latestMs === undefined ? undefined : { earliestMs, latestMs }
}
