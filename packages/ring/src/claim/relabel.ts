import { hasZones } from './goals.ts'
import { NOBODY, type Problem } from './problem.ts'

/** Bounds the work with many nodes: a turn costs about S^2. */
const MAX_TURN_WORK = 1 << 24

/**
 * A pattern is as good when turned round the ring, and when nodes of one zone change places all over it. Takes the turn
 * and the places with which most partitions stay where they are. A pattern repeats itself more or less, so that it is
 * turned once through its period at most.
 */
export function relabel(problem: Problem, pattern: Int16Array): Int16Array {
  if (problem.home.every((home) => home === NOBODY)) return pattern
  const period = Math.ceil(problem.partitions / Math.max(1, problem.floor))
  const turns = Math.min(period, Math.ceil(MAX_TURN_WORK / problem.nodes ** 2))
  let best = pattern
  let bestKept = -1
  for (let turn = 0; turn < turns; turn++) {
    const turned = pattern.map((_, p) => pattern[(p + turn) % pattern.length] ?? 0)
    const overlap = countOverlap(problem, turned)
    const names = chooseNames(problem, overlap)
    const kept = names.reduce((sum, name, node) => sum + (overlap[node * problem.nodes + name] ?? 0), 0)
    if (kept <= bestKept) continue
    bestKept = kept
    best = turned.map((node) => names[node] ?? node)
  }
  return best
}

/** Per node of the pattern and node of the cluster: how many partitions stay if the one is called as the other. */
function countOverlap(problem: Problem, pattern: Int16Array): Int32Array {
  const overlap = new Int32Array(problem.nodes * problem.nodes)
  for (const [partition, node] of pattern.entries()) {
    const home = problem.home[partition] ?? NOBODY
    if (home === NOBODY) continue
    const at = node * problem.nodes + home
    overlap[at] = (overlap[at] ?? 0) + 1
  }
  return overlap
}

/** Exchanges names in pairs for as long as that keeps more. */
function chooseNames(problem: Problem, overlap: Int32Array): number[] {
  const names = Array.from({ length: problem.nodes }, (_, node) => node)
  const kept = (node: number, name: number): number => overlap[node * problem.nodes + name] ?? 0
  for (let improved = true; improved; ) {
    improved = false
    for (let a = 0; a < names.length; a++) {
      for (let b = a + 1; b < names.length; b++) {
        if (hasZones(problem) && problem.zone[a] !== problem.zone[b]) continue
        const [nameA, nameB] = [names[a] ?? a, names[b] ?? b]
        if (kept(a, nameB) + kept(b, nameA) <= kept(a, nameA) + kept(b, nameB)) continue
        names[a] = nameB
        names[b] = nameA
        improved = true
      }
    }
  }
  return names
}
