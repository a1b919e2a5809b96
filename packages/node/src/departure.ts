import { AtollError } from '@atoll/core'
import type { ClusterDocument } from '@atoll/membership'
import type { NodeName } from '@atoll/ring'

/** How a node ceased to be a member, by the document of that epoch or a newer one. */
export interface Departure {
  readonly clusterId: string
  readonly epoch: number
  /** `left`: the cluster has no member of its name any more. `replaced`: it has one, with other data. */
  readonly kind: 'left' | 'replaced'
}

/** Whether a node is still a member, with the data that it has. */
export class Leaving {
  readonly left: Promise<Departure>
  readonly #node: NodeName
  readonly #memberId: string
  #resolve: (departure: Departure) => void = () => {}
  #departure: Departure | undefined

  constructor(node: NodeName, memberId: string) {
    this.#node = node
    this.#memberId = memberId
    this.left = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  get isOver(): boolean {
    return this.#departure !== undefined
  }

  /** The departure, for the first document in which the node is no member any more. */
  look({ clusterId, epoch, members }: ClusterDocument): Departure | undefined {
    const id = members.get(this.#node)?.id
    if (id === this.#memberId) return undefined
    return this.#depart({ clusterId, epoch, kind: id === undefined ? 'left' : 'replaced' })
  }

  /** A member has refused this node, since by a newer document its name stands for other data. */
  replaced({ clusterId, epoch }: Pick<Departure, 'clusterId' | 'epoch'>): Departure | undefined {
    return this.#depart({ clusterId, epoch, kind: 'replaced' })
  }

  #depart(departure: Departure): Departure | undefined {
    if (this.#departure !== undefined) return undefined
    this.#departure = departure
    this.#resolve(departure)
    return departure
  }

  /** What `get` gives; throws `ATOLL_CLOSED` for a node that is no member any more. */
  unlessLeft<T>(get: () => T): T {
    if (this.#departure !== undefined) throw departed(this.#node, this.#departure)
    return get()
  }
}

/** What requests are told from then on. */
function departed(node: NodeName, { clusterId, epoch, kind }: Departure): AtollError {
  const why = kind === 'left' ? 'has left' : 'was replaced in'
  const message = `${node} ${why} cluster ${clusterId}: ask another node, and close this one`
  return new AtollError('ATOLL_CLOSED', message, { details: { reason: kind, clusterId, epoch } })
}
