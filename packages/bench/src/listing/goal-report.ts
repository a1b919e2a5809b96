import { timesAsGood, UNITS, type Unit } from '../units.ts'

/** One line of the result: a figure beside what it is to be. */
export interface GoalRow {
  readonly name: string
  /** Requests in flight. */
  readonly concurrency: number
  readonly unit: Unit
  readonly figure: number
  /** At least so much where more is better, else at most. */
  readonly goal: number
  /** How near the goal it comes, whatever the unit: 1 and more has reached it. */
  readonly ratioToFloor: number
}

export function goalRow(row: Omit<GoalRow, 'ratioToFloor'>): GoalRow {
  const { unit, figure, goal } = row
  return { ...row, ratioToFloor: timesAsGood(unit, figure, goal) }
}

const NAME_WIDTH = 64
const WIDTH = 12

export function goalHeadLine(): string {
  const titles = ['measured', 'goal', 'unit', 'of goal'].map((title) => title.padStart(WIDTH)).join('')
  return `"of goal" is 1 or more where the goal is reached; CPU is processor time of all threads\n${''.padEnd(NAME_WIDTH)}${titles}`
}

export function goalLine({ name, concurrency, unit, figure, goal, ratioToFloor }: GoalRow): string {
  const { moreIsBetter, digits } = UNITS[unit]
  const goalText = `${moreIsBetter ? '≥' : '≤'} ${Number(goal.toFixed(digits))}`
  const cells = [figure.toFixed(digits), goalText, unit, ratioToFloor.toFixed(2)]
  return `${`${name}, c=${concurrency}`.padEnd(NAME_WIDTH)}${cells.map((cell) => cell.padStart(WIDTH)).join('')}`
}
