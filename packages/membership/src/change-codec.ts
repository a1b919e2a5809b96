import { AtollError, type TupleReader, type TupleValue } from '@atoll/core'
import type { Change, MemberChange } from './changes.ts'

type Kind = Change['kind']

/** Their numbers as written. */
const KINDS: readonly Kind[] = ['join', 'leave', 'replace', 'force-replace', 'force-remove', 'zone', 'resize']

export function packChange(change: Change): readonly TupleValue[] {
  if (change.kind === 'resize') return [KINDS.indexOf(change.kind), change.partitions]
  const head = [KINDS.indexOf(change.kind), change.node]
  switch (change.kind) {
    case 'join':
      return [...head, change.id, change.address, change.zone ?? null]
    case 'replace':
      return [...head, change.by]
    case 'force-replace':
      return [...head, change.by, change.id ?? null, change.address ?? null]
    case 'zone':
      return [...head, change.zone]
    default:
      return head
  }
}

/** Reads every field. Throws `ATOLL_CORRUPT`. */
export function unpackChange(reader: TupleReader): Change {
  const number = reader.uint()
  const kind = KINDS[number]
  if (kind === undefined)
    throw new AtollError('ATOLL_CORRUPT', `change cannot be read: there is no kind ${number}`)
  const change: Change =
    kind === 'resize' ? { kind, partitions: reader.uint() } : unpackKind(kind, reader.string(), reader)
  reader.end()
  return change
}

function unpackKind(kind: MemberChange['kind'], node: string, reader: TupleReader): Change {
  const text = () => reader.optional((field) => field.string())
  switch (kind) {
    case 'join':
      return { kind, node, id: reader.string(), address: reader.string(), zone: text() }
    case 'replace':
      return { kind, node, by: reader.string() }
    case 'force-replace':
      return { kind, node, by: reader.string(), id: text(), address: text() }
    case 'zone':
      return { kind, node, zone: reader.string() }
    default:
      return { kind, node }
  }
}
