import { AtollError } from './errors.ts'
import type { Clock } from './runtime.ts'

/** Far beyond any date. A wall clock that says more is taken to say this. */
export const LATEST_WALL_MS: number = 2 ** 52

/**
 * The time of the wall clock for something that is stored: whole milliseconds since 1970. Throws `ATOLL_CLOCK` for a
 * clock that is before that: what it stamps could not be read again.
 */
export function wallTimeOf(clock: Pick<Clock, 'wallMs'>): number {
  const wallMs = Math.floor(clock.wallMs())
  if (wallMs >= 0) return Math.min(wallMs, LATEST_WALL_MS)
  const message = `the wall clock is before 1970 (${wallMs} ms): set the clock of this machine`
  throw new AtollError('ATOLL_CLOCK', message, { details: { wallMs } })
}
