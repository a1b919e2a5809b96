import type { PreferenceEntry } from '@atoll/ring'

/**
 * Whether it counts what this replica lacks: where r of those that count have none, every write that n - r + 1 of them have
 * confirmed is ruled out. A fallback does not count, for nobody had to give it anything,
 * nor does one whose data is an older copy.
 */
export function countsAsEvidence({ role, isBehind }: PreferenceEntry): boolean {
  return role === 'primary' && !isBehind
}
