import {
  type Change,
  type ClusterDocument,
  commit,
  firstDocument,
  handed,
  isReady,
  type Member,
  type Move,
  planOf,
  stage,
} from '../src/index.ts'

export const idOf = (node: string, life = 0): string =>
  `${node.replace(/\D/g, '').padStart(8, '0')}${String(life).padStart(8, '0')}`

export const newMember = (node: string, zone?: string): Omit<Member, 'state' | 'upState'> => ({
  node,
  id: idOf(node),
  address: `${node}:1`,
  zone,
})

export const join = (node: string, zone?: string): Extract<Change, { readonly kind: 'join' }> => ({
  kind: 'join',
  ...newMember(node, zone),
})

export function clusterOf(
  nodes: readonly string[],
  options: { readonly partitions?: number; readonly n?: number } = {},
): ClusterDocument {
  return firstDocument({ clusterId: 'c', members: nodes.map((node) => newMember(node)), ...options })
}

export function commitAll(document: ClusterDocument, changes: readonly Change[]): ClusterDocument {
  const staged = changes.reduce(stage, document)
  return commit(staged, planOf(staged))
}

export const sourceOf = (move: Move): string => (move.kind === 'add' ? (move.waiting[0] ?? '') : move.from)

/** Does the moves that are ready, one after the other, until none is left. */
export function finishMoves(
  document: ClusterDocument,
  choose: (ready: readonly Move[]) => Move | undefined = ([first]) => first,
): ClusterDocument {
  let now = document
  for (;;) {
    const move = choose(now.moves.filter((other) => isReady(now, other)))
    if (move === undefined) return now
    now = handed(now, sourceOf(move), [move])
  }
}
