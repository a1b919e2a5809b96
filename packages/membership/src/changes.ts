import type { NodeName } from '@atoll/ring'

/** A change of the cluster that is staged, planned and then committed together with the others. */
export type Change =
  | {
      readonly kind: 'join'
      readonly node: NodeName
      readonly id: string
      readonly address: string
      readonly zone?: string | undefined
    }
  /** Its partitions move to the others, and then it may go. */
  | { readonly kind: 'leave'; readonly node: NodeName }
  /** A leave of which all partitions move to `by`, a node that joins. */
  | { readonly kind: 'replace'; readonly node: NodeName; readonly by: NodeName }
  /**
   * The node is lost with its data. `by`, a node that joins, owns its partitions at once and gets copies from the others.
   * If `by` is the node itself, it comes back under its old name: with a new `id`, and perhaps at another `address`.
   */
  | {
      readonly kind: 'force-replace'
      readonly node: NodeName
      readonly by: NodeName
      readonly id?: string | undefined
      readonly address?: string | undefined
    }
  /** The node is lost with its data. The others own its partitions at once and get copies from each other. */
  | { readonly kind: 'force-remove'; readonly node: NodeName }
  | { readonly kind: 'zone'; readonly node: NodeName; readonly zone: string }
  /** The ring gets more partitions: each becomes several, of the same nodes. Alone in its plan. */
  | { readonly kind: 'resize'; readonly partitions: number }

/** A change of one member. */
export type MemberChange = Exclude<Change, { readonly kind: 'resize' }>
