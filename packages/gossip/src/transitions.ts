import type { MemberStatus } from './digest.ts'
import type { GossipDecision } from './events.ts'

interface Condition {
  readonly status: MemberStatus
  readonly up: boolean
}

const WELL: Condition = { status: 'alive', up: true }

/** Tells what became of those to whom something may have happened, in comparison with what was last told of them. */
export class Transitions {
  /** Of those who are not simply well. */
  readonly #told = new Map<string, Condition>()
  readonly #touched = new Set<string>()

  touch(node: string): void {
    this.#touched.add(node)
  }

  forget(node: string): void {
    this.#told.delete(node)
    this.#touched.delete(node)
  }

  take(conditionOf: (node: string) => Condition): GossipDecision[] {
    const decisions: GossipDecision[] = []
    for (const node of this.#touched) {
      const before = this.#told.get(node) ?? WELL
      const after = conditionOf(node)
      if (after.up && after.status === 'alive') this.#told.delete(node)
      else this.#told.set(node, after)
      if (after.status !== before.status)
        decisions.push({ kind: 'status', node, from: before.status, to: after.status })
      if (after.up !== before.up) decisions.push({ kind: after.up ? 'up' : 'down', node })
    }
    this.#touched.clear()
    return decisions
  }
}
