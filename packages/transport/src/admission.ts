import { AtollError } from '@atoll/core'

/**
 * Whether a node may call a method that is not open to strangers. Asked for every request and every stream; a promise
 * says that it is not known yet, and the request waits for it. One that rejects is a no.
 */
export type Admits = (node: string, method: string) => boolean | Promise<boolean>

/** Who may call what. */
export interface Door {
  /** The methods that strangers may ask. */
  readonly openToStrangers: ReadonlySet<string>
  readonly admits: Admits | undefined
}

/** Says it at once where that is possible; the promise does not reject. */
export function isAdmitted(door: Door, from: string, method: string): boolean | Promise<boolean> {
  const { admits, openToStrangers } = door
  if (admits === undefined || openToStrangers.has(method)) return true
  const verdict = admits(from, method)
  return typeof verdict === 'boolean' ? verdict : verdict.catch(() => false)
}

/** Who asks for what, of which node. */
interface Asking {
  readonly node: string
  readonly from: string
  readonly method: string
}

export function unknownMethod({ node, method }: Asking): AtollError {
  return new AtollError('ATOLL_PROTOCOL', `${node} does not serve ${method}`)
}

export function notMember({ node, from, method }: Asking): AtollError {
  const message = `${from} may not call ${method} on ${node}: it is no member of the cluster`
  return new AtollError('ATOLL_UNAUTHORIZED', message)
}

export function stranger({ node, from, method }: Asking): AtollError {
  return new AtollError(
    'ATOLL_UNAUTHORIZED',
    `${from} is of no cluster that ${node} knows, and asks ${method}`,
  )
}
