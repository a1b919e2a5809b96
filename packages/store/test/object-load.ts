import { messageOf } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import { BUCKET, bytesOf, keysOf, OLD_OBJECTS } from './old-objects.ts'
import { drawFrom } from './processes/draw.ts'

/** Undefined for an object that is not there. */
type Body = Buffer | undefined

const CLIENTS = 4
const SIZES = [60, 700, 6000, 30_000] as const
/** Objects of before that clients write and delete; all others are only read. */
const isTaken = (at: number) => at % 4 === 0
const OLD_KEYS = [...OLD_OBJECTS.keys()]
export const UNTOUCHED = OLD_KEYS.filter((_, at) => !isTaken(at))

interface Client {
  readonly client: number
  /** What each of its objects may be: one thing, or several after a request that failed. */
  readonly known: Map<string, readonly Body[]>
}

/**
 * Clients that put, get, list, delete and collect through all nodes that run, each with objects of its own, of which it
 * knows what every answer has to be; and that read what nobody touches.
 */
export class ObjectLoad {
  /** Answers that were wrong. */
  readonly wrong: string[] = []
  /** Requests that failed, at nodes that were not said to be in trouble. */
  readonly failed: string[] = []
  /** For what goes wrong: what happens meanwhile. */
  stage = ''
  /** A node of which requests may fail. */
  troubled = ''
  readonly #nodes: () => readonly AtollNode[]
  readonly #draw = drawFrom(20261129)
  /** By whom an object belongs to. */
  readonly #known: readonly Map<string, readonly Body[]>[]
  /** Written in vain: what was begun may come to light later, beside what came after it. */
  readonly #doubtful = new Set<string>()
  #steps = 0

  constructor(nodes: () => readonly AtollNode[]) {
    this.#nodes = nodes
    const taken = OLD_KEYS.filter((_, at) => isTaken(at))
    this.#known = Array.from({ length: CLIENTS }, (_, client) => {
      const old = taken.filter((_key, at) => at % CLIENTS === client)
      const own = Array.from({ length: 8 }, (_key, at) => [`client-${client}-${at}`, [undefined]] as const)
      return new Map<string, readonly Body[]>([
        ...old.map((key) => [key, [OLD_OBJECTS.get(key)]] as const),
        ...own,
      ])
    })
  }

  /** Lets every client do so many things, one after the other. */
  async run(steps: number): Promise<void> {
    await Promise.all(this.#known.map((known, client) => this.#run(steps, { client, known })))
  }

  /** What each object may be now. */
  expected(): ReadonlyMap<string, readonly Body[]> {
    const untouched = UNTOUCHED.map((key) => [key, [OLD_OBJECTS.get(key)]] as const)
    return new Map([...untouched, ...this.#known.flatMap((known) => [...known])])
  }

  async #run(steps: number, whose: Client): Promise<void> {
    for (let step = 0; step < steps; step++) {
      const nodes = this.#nodes()
      const node = nodes[this.#draw(nodes.length)]
      if (node === undefined) throw new Error('no node runs')
      const keys = [...whose.known.keys()]
      const key = keys[this.#draw(keys.length)] ?? ''
      this.#steps += 1
      try {
        await this.#step(node, { ...whose, key })
      } catch (error) {
        this.#doubtful.add(key)
        if (node.name !== this.troubled) this.failed.push(`${this.stage}: ${node.name}: ${messageOf(error)}`)
      }
    }
  }

  async #step(node: AtollNode, { client, known, key }: Client & { readonly key: string }): Promise<void> {
    const { objects } = node
    const may = known.get(key) ?? []
    const kind = this.#draw(100)
    if (kind < 30) {
      const body = Buffer.alloc(SIZES[this.#draw(SIZES.length)] ?? 1, `${key} ${this.#steps};`)
      known.set(key, [...may, body])
      await objects.put(BUCKET, key, body)
      known.set(key, [body])
    } else if (kind < 40 && !this.#doubtful.has(key)) {
      known.set(key, [...may, undefined])
      const { deleted } = await objects.delete(BUCKET, key)
      known.set(key, [undefined])
      const was = may.map((body) => body !== undefined)
      if (!was.includes(deleted)) this.#isWrong(node, `delete ${key} says ${deleted}`)
    } else if (kind < 70) {
      const read = await bytesOf(node, key)
      if (!isOneOf(read, may)) this.#isWrong(node, `get ${key} has ${read?.subarray(0, 30)}`)
    } else if (kind < 90) {
      const old = UNTOUCHED[this.#draw(UNTOUCHED.length)] ?? ''
      if (!isOneOf(await bytesOf(node, old), [OLD_OBJECTS.get(old)])) this.#isWrong(node, `get ${old}`)
    } else if (kind < 97 || client > 0) {
      this.#compare(node, known, new Set(await keysOf(node)))
    } else await objects.collect({ leewayMs: 0 })
  }

  #compare(node: AtollNode, known: ReadonlyMap<string, readonly Body[]>, keys: ReadonlySet<string>): void {
    for (const [key, may] of known) {
      const isThere = may.map((body) => body !== undefined)
      if (!isThere.includes(keys.has(key)))
        this.#isWrong(node, `list ${keys.has(key) ? 'has' : 'lacks'} ${key}`)
    }
    for (const key of UNTOUCHED) if (!keys.has(key)) this.#isWrong(node, `list lacks ${key}`)
  }

  #isWrong(node: AtollNode, what: string): void {
    this.wrong.push(`${this.stage}: ${node.name}: ${what}`)
  }
}

export function isOneOf(read: Body, may: readonly Body[]): boolean {
  return may.some((body) => (body === undefined || read === undefined ? body === read : body.equals(read)))
}
