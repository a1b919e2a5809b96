import type { Runtime } from '@atoll/core'
import {
  type ClusterDocument,
  type Edit,
  type Handed,
  handed,
  isReady,
  type Membership,
} from '@atoll/membership'
import type { NodeName } from '@atoll/ring'

export interface MoveReportsParts {
  readonly runtime: Runtime
  readonly node: NodeName
  readonly membership: Membership
}

/** A move that is done. */
export interface Done extends Handed {
  /**
   * Of a copy: how long the list was by which bucket types were chosen. Where it is shorter by now, those lack that
   * reach less far, and the move is not done.
   */
  readonly reach?: number
}

/** Moves that are done and will be reported in one edit. */
interface Batch {
  readonly moves: Done[]
  readonly reported: Promise<void>
}

/** Transfers that are done are reported together, so that a plan costs few epochs. */
const REPORT_MS = 200
const PROPOSE_TIMEOUT_MS = 10_000

/** Says in the cluster document which moves of this node are done. */
export class MoveReports {
  readonly #parts: MoveReportsParts
  /** Ends each report that is not over: one waits for the one before. */
  readonly #stops = new Set<AbortController>()
  #batch: Batch | undefined
  /** Resolves when the last report has come to an end, whatever that is. */
  #reporting: Promise<void> = Promise.resolve()

  constructor(parts: MoveReportsParts) {
    this.#parts = parts
  }

  begin(): void {
    this.#batch = undefined
  }

  stop(reason: Error): void {
    for (const stop of this.#stops) stop.abort(reason)
  }

  /** Says that a move is done; rejects if the document cannot be brought to say so. */
  report(move: Done): Promise<void> {
    this.#batch ??= this.#openBatch()
    this.#batch.moves.push(move)
    return this.#batch.reported
  }

  #openBatch(): Batch {
    const { runtime, node, membership } = this.#parts
    const moves: Done[] = []
    const stop = new AbortController()
    this.#stops.add(stop)
    const before = this.#reporting
    const report = async () => {
      // Reports of one node would only be in each other's way.
      await before
      await runtime.clock.sleep(REPORT_MS, { signal: stop.signal })
      this.#batch = undefined
      await proposeEdit(membership, (document) => reported(document, node, moves), stop.signal)
    }
    const reporting = report().finally(() => this.#stops.delete(stop))
    this.#reporting = reporting.catch(() => {})
    return { moves, reported: reporting }
  }
}

/** Rejects if the document cannot be brought to say so in time. */
export async function proposeEdit(membership: Membership, edit: Edit, signal: AbortSignal): Promise<void> {
  await membership.propose(edit, { signal, timeoutMs: PROPOSE_TIMEOUT_MS })
}

/**
 * One after the other, since the first may be the end of the second: who waited for a copy from here waits for one from
 * the new owner. A document that was decided meanwhile may have given up some of them as well.
 */
export function reported(document: ClusterDocument, node: NodeName, done: readonly Done[]): ClusterDocument {
  const isCopy = ({ kind }: Handed) => kind === 'add'
  const inOrder = [...done.filter(isCopy), ...done.filter((move) => !isCopy(move))]
  return inOrder.reduce(
    (known, one) => (awaits(known, node, one) ? handed(known, node, [one]) : known),
    document,
  )
}

function awaits(
  document: ClusterDocument,
  node: NodeName,
  { partition, kind, to, reach = 0 }: Done,
): boolean {
  if ((document.replicas[partition]?.length ?? 0) < reach) return false
  return document.moves.some((move) => {
    if (move.partition !== partition || move.kind !== kind || move.to !== to) return false
    return (move.kind === 'add' ? move.waiting.includes(node) : move.from === node) && isReady(document, move)
  })
}
