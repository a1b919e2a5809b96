import { applyMove, movesByPartition, sourcesOf } from './layout.js'
/**
 * Sets new goals: as few moves as lead from what is pending already to the wanted lists. As sets, that is: the order of a
 * list is kept. What has begun is finished first, since its source may have stopped to serve; only additions, whose
 * sources go on, are given up.
 */
export function retarget(layout, wanted, members) {
  const pending = movesByPartition(layout.moves)
  const moves = layout.replicas.flatMap((holders, partition) =>
    planCourse(pending.get(partition) ?? [], {
      partition,
      holders,
      wanted: wanted[partition] ?? [],
      members,
    }),
  )
  return { replicas: layout.replicas, moves }
}
function planCourse(pending, course) {
  const { partition, holders, wanted, members } = course
  const kept = pending.filter((move) => move.kind !== 'add' || wanted.includes(move.to))
  const goal = kept.reduce(applyMove, holders)
  const leaving = goal.filter((node) => !wanted.includes(node))
  const coming = wanted.filter((node) => !goal.includes(node))
  const heir = goal.find((node) => wanted.includes(node)) ?? coming[0]
  const moves = [...kept]
  for (const [at, from] of leaving.entries()) {
    const to = coming[at]
    if (to !== undefined) replaceBy(moves, course, { kind: 'replace', partition, from, to })
    else if (heir !== undefined) moves.push({ kind: 'drop', partition, from, to: heir })
  }
  const waiting = sourcesOf(holders, members)
  for (const to of coming.slice(leaving.length)) moves.push({ kind: 'add', partition, to, waiting })
  return moves
}
/** A pending move to `from` that waits for another is led to `to` at once. */
function replaceBy(moves, { holders }, move) {
  const at = moves.findIndex(
    (other) => other.kind === 'replace' && other.to === move.from && !holders.includes(other.from),
  )
  const waiting = moves[at]
  if (waiting?.kind !== 'replace') moves.push(move)
  else if (waiting.from === move.to) moves.splice(at, 1)
  else moves[at] = { ...waiting, to: move.to }
}
//# sourceMappingURL=retarget.js.map
