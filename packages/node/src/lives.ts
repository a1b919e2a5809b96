import type { Runtime } from '@atoll/core'
import { type ClusterDocument, catchingUp, isForAllVersions, withHistory } from '@atoll/membership'
import type { NodeName } from '@atoll/ring'
import { isCapable, type RpcEndpoint } from '@atoll/transport'
import type { VnodeHost } from '@atoll/vnode'
import type { Generation } from './generation.ts'
import type { PartitionOwners } from './partition-owners.ts'

/** Said in the handshake by a node that reads documents whose members tell of the lives of their data. */
export const GENERATIONS = 'generations'
/** By one that reads documents which say what came before them. */
export const HISTORY = 'document-history'

export interface LivesParts {
  readonly node: NodeName
  readonly runtime: Runtime
  readonly endpoint: Pick<RpcEndpoint, 'capabilitiesOf'>
  readonly generation: Generation
  readonly vnodes: VnodeHost
  readonly owners: PartitionOwners
}

/** What follows for a node from what the cluster document says of the lives of its data. */
export class Lives {
  readonly #parts: LivesParts
  /** Of this node, while its data is an older copy: those that have not offered yet what it lacks. */
  #waiting: readonly NodeName[] | undefined
  /** The epoch by which this node learned of that. */
  #since: number | undefined

  constructor(parts: LivesParts) {
    this.#parts = parts
  }

  /**
   * The document with the life that goes on, and with a history; without either while a member may be there that could
   * not read it.
   */
  tell(document: ClusterDocument): ClusterDocument {
    const mayTell = !isForAllVersions(document) || this.#allOthersSay(GENERATIONS, document)
    const told = mayTell ? this.#parts.generation.tell(document) : document
    const mayKeep = told.history === undefined && !isForAllVersions(told) && this.#allOthersSay(HISTORY, told)
    return mayKeep ? withHistory(told) : told
  }

  /** A vnode that has given no dot yet goes on as who it was only if the cluster says that nothing was in between. */
  follow(document: ClusterDocument): void {
    const { node, runtime, generation, vnodes, owners } = this.#parts
    const { log, metrics } = runtime
    const before = this.#waiting
    this.#waiting = catchingUp(document).get(node)
    this.#since = this.#waiting && (this.#since ?? document.epoch)
    generation.doubt(document)
    const standing = generation.confirm(document)
    owners.readsFrom = generation.mayBeOlder(document) ? Number.POSITIVE_INFINITY : (this.#since ?? 0)
    metrics.gauge('atoll_node_catching_up_from', this.#waiting?.length ?? 0)
    if (standing === 'restored') {
      metrics.count('atoll_node_restored_total')
      vnodes.renewActors()
      const isAlone = document.members.size === 1
      const from =
        this.#waiting?.join(', ') ?? `nobody, since it ${isAlone ? 'is alone' : 'holds no partition'}`
      log.warn({ node }, `the data of ${node} is an older copy: it catches up from ${from}`)
    }
    if (before !== undefined && this.#waiting === undefined)
      log.info({ node }, `${node} was restored, and has caught up with the others`)
  }

  #allOthersSay(capability: string, { members }: ClusterDocument): boolean {
    const { node, endpoint } = this.#parts
    const others = [...members.keys()].filter((other) => other !== node)
    return others.every((other) => isCapable(endpoint, other, capability))
  }
}
