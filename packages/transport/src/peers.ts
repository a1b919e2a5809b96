interface Standing {
  connections: number
  capabilities: ReadonlySet<string>
}

/** The nodes that connections stand with, in whichever direction, and what they said that they can do. */
export class Peers {
  readonly #standing = new Map<string, Standing>()

  get names(): readonly string[] {
    return [...this.#standing.keys()]
  }

  /** What the node said last: after a restart it may be another program, while an old connection still seems to stand. */
  capabilitiesOf(node: string): ReadonlySet<string> | undefined {
    return this.#standing.get(node)?.capabilities
  }

  /** True if it is the first connection with this node. */
  add(node: string, capabilities: readonly string[]): boolean {
    const connections = (this.#standing.get(node)?.connections ?? 0) + 1
    this.#standing.set(node, { connections, capabilities: new Set(capabilities) })
    return connections === 1
  }

  /** True if it was the last connection with this node. */
  remove(node: string): boolean {
    const standing = this.#standing.get(node)
    if (standing !== undefined && --standing.connections > 0) return false
    return this.#standing.delete(node)
  }
}
