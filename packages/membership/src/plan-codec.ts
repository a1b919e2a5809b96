import { decodeWith, encodeWith, type TupleCodec, type TupleReader } from '@atoll/core'
import type { ClaimViolation } from '@atoll/ring'
import { packChange, unpackChange } from './change-codec.ts'
import { corrupt, keyed, Names, packMember, packMove, unpackMember, unpackMove } from './codec.ts'
import type { Plan, PlannedMove } from './plan.ts'

const planCodec: TupleCodec<Plan> = {
  name: 'plan of the cluster',
  version: 1,
  encode: (plan) => {
    const moveNames = plan.transfers.flatMap((move) =>
      move.kind === 'add' ? [move.to, ...move.waiting] : [move.from, move.to],
    )
    const names = new Names([...new Set([...plan.owners, ...moveNames])].sort())
    return [
      plan.epoch,
      plan.basis,
      names.all,
      plan.changes.map(packChange),
      [...plan.members.values()].map(packMember),
      plan.owners.map((node) => names.numberOf(node)),
      plan.transfers.map((move) => [move.bytes ?? null, packMove(move, names)]),
      [plan.moved, plan.leastMoves, plan.movedPartitions, plan.leastPartitions],
      plan.lost,
      plan.violations.map(({ partition, kind, distinct, wanted }) => [partition, kind, distinct, wanted]),
    ]
  },
  decode: (reader) => {
    const epoch = reader.uint()
    const basis = reader.string()
    const names = new Names(reader.list((item) => item.string()))
    const changes = reader.list((item) => unpackChange(item.tuple()))
    const members = keyed(
      reader.list((item) => unpackMember(item.tuple())),
      ({ node }) => node,
    )
    const owners = reader.list((item) => names.at(item.uint()))
    const transfers = reader.list((item) => unpackPlanned(item.tuple(), names))
    const [moved = 0, leastMoves = 0, movedPartitions = 0, leastPartitions = 0] = reader.list((item) =>
      item.uint(),
    )
    const lost = reader.list((item) => item.uint())
    const violations = reader.list((item) => unpackViolation(item.tuple()))
    const counts = { moved, leastMoves, movedPartitions, leastPartitions }
    return { epoch, basis, changes, members, owners, transfers, ...counts, lost, violations }
  },
}

export function encodePlan(plan: Plan): Uint8Array {
  return encodeWith(planCodec, plan)
}

/** Throws `ATOLL_CORRUPT` for bytes that are no plan, and `ATOLL_FORMAT` for those of a newer version. */
export function decodePlan(bytes: Uint8Array): Plan {
  return decodeWith(planCodec, bytes)
}

function unpackPlanned(reader: TupleReader, names: Names): PlannedMove {
  const bytes = reader.optional((field) => field.uint())
  const move = unpackMove(reader.tuple(), names)
  reader.end()
  return { ...move, bytes }
}

function unpackViolation(reader: TupleReader): ClaimViolation {
  const partition = reader.uint()
  const kind = reader.string()
  if (kind !== 'node' && kind !== 'zone') throw corrupt(`no window violates a ${kind}`)
  const violation = { partition, kind, distinct: reader.uint(), wanted: reader.uint() } as const
  reader.end()
  return violation
}
