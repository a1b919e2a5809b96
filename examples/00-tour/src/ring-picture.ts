import type { Ring } from '@atoll/ring'
import colors from 'picocolors'

const PAINTS = [colors.cyan, colors.yellow, colors.magenta, colors.green, colors.blue, colors.white]
const WIDTH = 53
const HEIGHT = 17

/** The ring as an ellipse of its partitions, each shown as the number of its owner; × where the owner is down. */
export function ringPicture(ring: Ring, names: readonly string[], isUp: (name: string) => boolean): string {
  const cells = Array.from({ length: HEIGHT }, () => Array.from({ length: WIDTH }, () => ' '))
  ring.owners.forEach((owner, partition) => {
    const { row, column } = placeOf(partition, ring.partitions)
    const line = cells[row]
    if (line !== undefined) line[column] = cellOf(owner, names, isUp)
  })
  const lines = cells.map((line) => line.join(''))
  return lines.map((line, row) => `  ${withLegend(line, row, { ring, names, isUp })}`.trimEnd()).join('\n')
}

function placeOf(partition: number, partitions: number): { row: number; column: number } {
  const angle = (2 * Math.PI * partition) / partitions - Math.PI / 2
  return {
    row: Math.round(((HEIGHT - 1) / 2) * (1 + Math.sin(angle))),
    column: Math.round(((WIDTH - 1) / 2) * (1 + Math.cos(angle))),
  }
}

function cellOf(owner: string, names: readonly string[], isUp: (name: string) => boolean): string {
  const at = names.indexOf(owner)
  if (!isUp(owner)) return colors.dim(colors.red('×'))
  return paintOf(at)(`${at + 1}`)
}

function paintOf(at: number): (text: string) => string {
  return PAINTS[at % PAINTS.length] ?? colors.white
}

interface Legend {
  readonly ring: Ring
  readonly names: readonly string[]
  readonly isUp: (name: string) => boolean
}

/** Writes the name of a node, its partitions and its state to the right of the picture. */
function withLegend(line: string, row: number, { ring, names, isUp }: Legend): string {
  const at = row - Math.floor((HEIGHT - names.length) / 2)
  const name = names[at]
  if (name === undefined) return line
  const owned = ring.owners.filter((owner) => owner === name).length
  const state = isUp(name) ? 'up' : colors.red('down')
  return `${line}   ${paintOf(at)(name)}  ${String(owned).padStart(2)} partitions  ${state}`
}
