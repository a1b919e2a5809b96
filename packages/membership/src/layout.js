/** Whether a move can be begun now: some wait for others of their partition. */
export function isReady({ replicas }, move) {
  const holders = replicas[move.partition] ?? []
  switch (move.kind) {
    case 'replace':
      return holders.includes(move.from) && !holders.includes(move.to)
    case 'add':
      return !holders.includes(move.to)
    case 'drop':
      return holders.includes(move.from) && holders.includes(move.to)
  }
}
/** The list of a partition once a move is done. */
export function applyMove(holders, move) {
  switch (move.kind) {
    case 'replace':
      return holders.map((node) => (node === move.from ? move.to : node))
    case 'add':
      return [...holders, move.to]
    case 'drop':
      return holders.filter((node) => node !== move.from)
  }
}
/** Who holds each partition when all moves are done. */
export function goalOf({ replicas, moves }) {
  const goal = [...replicas]
  for (const move of moves) goal[move.partition] = applyMove(goal[move.partition] ?? [], move)
  return goal
}
/** The moves of each partition that has any. */
export function movesByPartition(moves) {
  const grouped = new Map()
  for (const move of moves) {
    const group = grouped.get(move.partition)
    if (group === undefined) grouped.set(move.partition, [move])
    else group.push(move)
  }
  return grouped
}
/** Who must copy to a node that is added: all that hold the partition but those that are down, if there are others. */
export function sourcesOf(holders, members) {
  const up = holders.filter((node) => members.get(node)?.state !== 'down')
  return up.length > 0 ? up : holders
}
/** Whether a list or a move names the node. */
export function isNamed({ replicas, moves }, node) {
  return (
    replicas.some((holders) => holders.includes(node)) ||
    moves.some(
      (move) => move.to === node || ('from' in move ? move.from === node : move.waiting.includes(node)),
    )
  )
}
//# sourceMappingURL=layout.js.map
