import type { AtollNode } from '@atoll/node'

/** Who is inside which node: one that goes for good is left by its clients first, as a service would have it. */
export class Doors {
  readonly #inside = new Map<string, number>()
  readonly #closed = new Set<string>()

  /** A node that knows that it has left says so, and nobody sends clients there any more. */
  isOpen({ name, cluster }: AtollNode): boolean {
    return !this.#closed.has(name) && cluster.document.members.has(name)
  }

  async through<T>({ name }: AtollNode, run: () => Promise<T>): Promise<T> {
    this.#inside.set(name, this.inside(name) + 1)
    try {
      return await run()
    } finally {
      this.#inside.set(name, this.inside(name) - 1)
    }
  }

  close(name: string): void {
    this.#closed.add(name)
  }

  inside(name: string): number {
    return this.#inside.get(name) ?? 0
  }
}
