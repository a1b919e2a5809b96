import type { VnodeRole } from '@atoll/vnode'

/** By what a request came to a vnode, so that one that has moved can be asked in its new place. */
export interface Routing {
  readonly role: VnodeRole
  /** Epoch of the document that named this vnode; 0 if unknown. */
  readonly epoch: number
  /** How often nodes have sent the request on. */
  readonly forwards: number
  /** True if the last of those has handed the vnode over to the one that it asks. */
  readonly bySeal: boolean
}

/** A request as it goes from node to node. */
export type Routed<Request> = Request & { readonly routing: Routing }

/** Routing of a request that says nothing of it: it is served wherever it comes. */
export const UNROUTED: Routing = { role: 'primary', epoch: 0, forwards: 0, bySeal: false }
