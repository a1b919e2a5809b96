/** What figures are, whether the larger one is the better one, and how many digits behind the point say something. */
export const UNITS = {
  µs: { moreIsBetter: false, digits: 2 },
  ms: { moreIsBetter: false, digits: 1 },
  'op/s': { moreIsBetter: true, digits: 0 },
  'MB/s': { moreIsBetter: true, digits: 1 },
  'keys/s': { moreIsBetter: true, digits: 0 },
  ratio: { moreIsBetter: true, digits: 2 },
  answered: { moreIsBetter: true, digits: 0 },
  'CPU µs': { moreIsBetter: false, digits: 1 },
  'CPU ms': { moreIsBetter: false, digits: 2 },
  MiB: { moreIsBetter: false, digits: 0 },
  scans: { moreIsBetter: false, digits: 1 },
  times: { moreIsBetter: false, digits: 2 },
} as const

export type Unit = keyof typeof UNITS

/** How many times as good a figure is as another of that unit: more than 1 is better. */
export function timesAsGood(unit: Unit, figure: number, other: number): number {
  return UNITS[unit].moreIsBetter ? figure / other : other / figure
}
