interface Asked {
  readonly peer: string
  readonly untilMs: number
  readonly tries: number
}

/** What is asked of one node in one exchange. */
export interface FactRequest {
  readonly peer: string
  readonly nodes: readonly string[]
}

/** Asked so often in all, before the next one who tells of it is asked instead. */
const MAX_TRIES = 6

/** Whose facts were asked for: of one peer at a time, and again of the same if the answer gets lost. */
export class FactRequests {
  readonly #asked = new Map<string, Asked>()

  /** Those of `nodes` that are to be asked of `peer` now. */
  begin({ peer, nodes }: FactRequest, untilMs: number): string[] {
    const fresh = nodes.filter((node) => !this.#asked.has(node))
    for (const node of fresh) this.#asked.set(node, { peer, untilMs, tries: 1 })
    return fresh
  }

  end(node: string): void {
    this.#asked.delete(node)
  }

  /** What was not answered in time, to be asked once more. */
  overdue(nowMs: number, untilMs: number): FactRequest[] {
    const again = new Map<string, string[]>()
    for (const [node, asked] of this.#asked) {
      if (asked.untilMs > nowMs) continue
      this.#asked.delete(node)
      if (asked.tries >= MAX_TRIES) continue
      this.#asked.set(node, { ...asked, untilMs, tries: asked.tries + 1 })
      again.set(asked.peer, [...(again.get(asked.peer) ?? []), node])
    }
    return [...again].map(([peer, nodes]) => ({ peer, nodes }))
  }
}
