import type { Violation } from '@atoll/sim'

/** What a node of the build before serves. A method that is not here is unknown to it. */
const METHODS: ReadonlySet<string> = new Set([
  'gossip.document',
  'gossip.exchange',
  'gossip.ping',
  'gossip.ping-req',
  'membership.accept',
  'membership.join',
  'membership.prepare',
  'membership.tell',
  'node.document',
  'node.news',
  'node.sizes',
  'node.transfers',
  'vnode.coordinate',
  'vnode.get',
  'vnode.handoff-end',
  'vnode.handoff-offer',
  'vnode.handoff-return',
  'vnode.handoff-seal',
  'vnode.handoff-send',
  'vnode.put',
  'vnode.scan',
])

/**
 * These are asked of anybody, as when no connection stands that would tell: whoever does not serve them says so, and
 * that is an answer.
 */
const ASKED_OF_ANYBODY: ReadonlySet<string> = new Set(['node.meet', 'node.census', 'node.clock'])

/** Of the requests that have got more since, what was in them before. */
const FIELDS: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['vnode.get', new Set(['partition', 'id', 'routing'])],
  ['vnode.put', new Set(['partition', 'id', 'record', 'tellAlone', 'isFresh', 'routing'])],
  [
    'vnode.coordinate',
    new Set(['partition', 'id', 'content', 'valueCrc32', 'context', 'writeId', 'ifAlone', 'routing']),
  ],
  [
    'vnode.scan',
    new Set(['partitions', 'vnodes', 'type', 'index', 'scope', 'from', 'to', 'after', 'limit', 'routing']),
  ],
])

const NOTHING: ReadonlySet<string> = new Set()

/**
 * Nodes that are of the build before: they say in the handshake nothing of what they can do, believe nobody who does,
 * and serve what that build served. Nobody may ask them for anything else.
 */
export class Builds {
  readonly violations: Violation[] = []
  readonly #older: Set<string>
  /** Nodes that are new, and have not opened yet what the build before has left. */
  readonly #heirs = new Set<string>()
  /** False for a bug: then everybody is taken for one of this build. */
  readonly #isHeeded: boolean

  constructor(older: Iterable<string>, { isHeeded }: { readonly isHeeded: boolean }) {
    this.#older = new Set(older)
    this.#isHeeded = isHeeded
  }

  /** Those that have yet to be started as what is new. */
  get older(): ReadonlySet<string> {
    return this.#older
  }

  /** To be called while it does not run. */
  upgrade(node: string): void {
    if (this.#older.delete(node)) this.#heirs.add(node)
  }

  /** True once for each node that was upgraded: then its disk is as the build before has left it. */
  inherits(node: string): boolean {
    return this.#heirs.delete(node)
  }

  /** What `node` hears of what `peer` can do. */
  heard(node: string, peer: string, said: ReadonlySet<string> | undefined): ReadonlySet<string> | undefined {
    const isOlder = this.#older.has(node) || this.#older.has(peer)
    return said !== undefined && isOlder && this.#isHeeded ? NOTHING : said
  }

  /** False if the node does not know what it is asked. */
  serves(node: string, method: string, request: unknown): boolean {
    if (!this.#older.has(node)) return true
    if (!METHODS.has(method)) {
      if (!ASKED_OF_ANYBODY.has(method)) this.#violate(node, method)
      return false
    }
    const news = newFields(method, request)
    if (news.length > 0) this.#violate(node, `${method} with ${news.join(', ')}`)
    return news.length === 0
  }

  #violate(node: string, what: string): void {
    this.violations.push({
      rule: 'unknown-request',
      key: node,
      message: `of the build before, was asked ${what}`,
    })
  }
}

function newFields(method: string, request: unknown): readonly string[] {
  const fields = FIELDS.get(method)
  if (fields === undefined || typeof request !== 'object' || request === null) return []
  return Object.entries(request).flatMap(([name, value]) =>
    fields.has(name) || isNothing(value) ? [] : [name],
  )
}

function isNothing(value: unknown): boolean {
  return value === undefined || value === false || (Array.isArray(value) && value.length === 0)
}
