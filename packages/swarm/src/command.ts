import { parseArgs } from 'node:util'
import { checkInteger, messageOf } from '@atoll/core'
import { BUGS } from './bugs.ts'
import { KINDS } from './options.ts'

/** What the command line asks for. */
export interface Command {
  readonly from: number
  readonly count: number
  /** Name of a bug to put in. */
  readonly bug: string | undefined
  /** Kinds of faults and changes that happen in every run. */
  readonly kinds: readonly string[]
  /** Print one JSON object instead of words. */
  readonly json: boolean
}

const LONGEST = { min: 1, max: 1_000_000_000 }

export const USAGE = 'npm run sim -- [--seeds N] [--from SEED] [--bug NAME] [--with KIND,...] [--json]'

/** Throws a `TypeError` or `RangeError` that says in one line what is wrong. */
export function readCommand(args: readonly string[]): Command {
  const { values } = parse(args)
  const { bug, json } = values
  if (bug !== undefined && !Object.hasOwn(BUGS, bug))
    throw new RangeError(`there is no bug "${bug}": it may be ${Object.keys(BUGS).join(', ')}`)
  const kinds = values.with === undefined ? [] : values.with.split(',')
  const unknown = kinds.find((kind) => !KINDS.includes(kind))
  if (unknown !== undefined)
    throw new RangeError(`there is no fault or change "${unknown}": it may be ${KINDS.join(', ')}`)
  return {
    count: numberOf('--seeds', values.seeds, LONGEST),
    from: numberOf('--from', values.from, { min: 0, max: Number.MAX_SAFE_INTEGER - LONGEST.max }),
    bug,
    kinds,
    json,
  }
}

/** The command line that runs one seed again. */
export function replayOf(seed: number, { bug, kinds }: Pick<Command, 'bug' | 'kinds'>): string {
  const asked = kinds.length === 0 ? '' : ` --with ${kinds.join(',')}`
  return `npm run sim -- --from ${seed} --seeds 1${bug === undefined ? '' : ` --bug ${bug}`}${asked}`
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        seeds: { type: 'string', default: '100' },
        from: { type: 'string', default: '0' },
        bug: { type: 'string' },
        with: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    const [line] = messageOf(error).split(/\.\s|\n/)
    throw new TypeError(`${line}; usage: ${USAGE}`)
  }
}

function numberOf(name: string, text: string, limits: { min: number; max: number }): number {
  const number = /^\d+$/.test(text) ? Number(text) : text
  return checkInteger(name, number, limits)
}
