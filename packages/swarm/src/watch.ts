import { isError, type KeyId, type Log, toHex } from '@atoll/core'
import { type ClusterDocument, decodeDocument, isReady, type Move } from '@atoll/membership'
import { overlapping } from '@atoll/ring'
import type { Violation } from '@atoll/sim'
import type { Database, VnodeHost } from '@atoll/vnode'
import { nameOf } from './names.ts'

/** As `@atoll/node` keeps the document: behind it stands a checksum. */
const DOCUMENT_KEY = '!cluster!document'
const CHECKSUM_BYTES = 4

/** A write that came to a vnode as to a holder of its partition, and that the vnode took. */
export interface Taken {
  readonly host: VnodeHost
  readonly partition: number
}

/** Sees every document that a node notes and every write that a holder takes, and says what may not be. */
export class Watch {
  readonly violations: Violation[] = []
  /** Replicas that nodes got by one document after the other. */
  gained = 0
  readonly #texts = new Map<number, string>()
  #newest: ClusterDocument | undefined
  /**
   * When each replacement that may be carried out was first seen, by name, in the order of events. One that waits for
   * earlier ones of its partition may not: its target may take writes by one of those.
   */
  #pending = new Map<string, number>()
  /** When each node last took a write for a partition, by both. */
  readonly #taken = new Map<string, number>()
  #order = 0

  /** The database, seen through. */
  through(node: string, database: Database): Database {
    const batch = database.batch.bind(database)
    return Object.assign(database, {
      batch: (...request: Parameters<Database['batch']>) => {
        const writing = batch(...request)
        for (const operation of request[0]) {
          if (operation.type === 'put' && Buffer.from(operation.key).toString('latin1') === DOCUMENT_KEY)
            this.#onDocument(node, operation.value, writing)
        }
        return writing
      },
    })
  }

  /** Whatever a node makes of it: an assertion never fails. */
  onError(node: string, error: unknown): void {
    const isAssertion = isError(error) && error.message.startsWith('assertion failed')
    if (isAssertion) this.#violate('assertion', node, error.message)
  }

  /** A write that a node had acknowledged is not there, after it has converted what a build before had left. */
  onForgotten(node: string, id: KeyId): void {
    this.#violate('conversion', nameOf(id), `${node} has forgotten a write that it took while it converted`)
  }

  /** The log, seen through: what fails unexpectedly is told there. */
  heeding(node: string, log: Log): Log {
    const error: Log['error'] = (fields, message) => {
      for (const value of Object.values(fields)) this.onError(node, value)
      log.error(fields, message)
    }
    return { debug: log.debug.bind(log), info: log.info.bind(log), warn: log.warn.bind(log), error }
  }

  /**
   * The data of a node is an older copy, which may not know that its vnodes were handed over, if the document does not
   * say so yet: until it hands them over again it takes writes, and what the target took before is no fault of either.
   */
  onRestored(node: string): void {
    for (const name of this.#pending.keys())
      if (name.split(' ')[1] === node) this.#pending.set(name, this.#order++)
  }

  onTaken({ host, partition }: Taken): void {
    const { node } = host
    const at = this.#order++
    // While records are filed anew, partitions here and in the document are not the same.
    if (this.#newest !== undefined && host.filed !== this.#newest.ring.partitions) return
    const gate = host.gates.all().get(partition)
    const name = `${node}/${partition}`
    if (gate !== undefined && !OPEN.has(gate.phase))
      this.#violate('two-owners', name, `it took a write after it was handed over to ${gate.to}`)
    else if (this.#newest?.replicas[partition]?.includes(node) === false && !this.#mayServe(node, partition))
      this.#violate(
        'two-owners',
        name,
        `it took a write though epoch ${this.#newest.epoch} gives it to others`,
      )
    for (const [key, since] of this.#pending) {
      const [moved, from, to] = key.split(' ')
      if (moved !== `${partition}` || from !== node) continue
      const other = this.#taken.get(`${to}/${partition}`) ?? -1
      if (other > since) this.#violate('two-owners', name, `it took a write after ${to} took one`)
    }
    this.#taken.set(name, at)
  }

  /** It is followed once it is on a disk: what one node alone forced, and could not note, is nobody's document. */
  #onDocument(node: string, stored: Uint8Array, noting: Promise<void>): void {
    const bytes = stored.subarray(0, stored.length - CHECKSUM_BYTES)
    const document = decodeDocument(bytes)
    const { epoch, forced } = document
    const text = toHex(bytes)
    const known = this.#texts.get(epoch)
    this.#texts.set(epoch, known ?? text)
    if (known !== undefined && known !== text && forced.length === 0)
      this.#violate('one-document', `epoch ${epoch}`, `${node} notes another one than others`)
    const follow = () => {
      if (this.#newest === undefined || epoch > this.#newest.epoch) this.#follow(document)
    }
    noting.then(follow, () => {})
  }

  #follow(document: ClusterDocument): void {
    const before = this.#newest?.replicas
    if (before !== undefined) {
      for (const [partition, holders] of document.replicas.entries())
        this.gained += holders.filter(
          (node) => !heldBefore(before, partition, document).includes(node),
        ).length
    }
    const pending = document.moves.flatMap((move) =>
      move.kind === 'replace' && isReady(document, move) ? nameOfMove(move) : [],
    )
    this.#pending = new Map(pending.map((name) => [name, this.#pending.get(name) ?? this.#order++]))
    this.#newest = document
  }

  /** The target of a replacement serves what its source forwards, before a document says so. */
  #mayServe(node: string, partition: number): boolean {
    const moves = this.#newest?.moves ?? []
    return moves.some((move) => move.partition === partition && move.to === node)
  }

  #violate(rule: string, key: string, message: string): void {
    this.violations.push({ rule, key, message })
  }
}

/** Phases in which the source of a transfer still takes writes. */
const OPEN: ReadonlySet<string> = new Set(['copying'])

function nameOfMove({ partition, from, to }: Extract<Move, { kind: 'replace' }>): string {
  return `${partition} ${from} ${to}`
}

/** Who held what the partition was a part of. */
function heldBefore(
  before: ClusterDocument['replicas'],
  partition: number,
  { ring }: ClusterDocument,
): readonly string[] {
  return overlapping(partition, ring.partitions, before.length).flatMap((part) => before[part] ?? [])
}
