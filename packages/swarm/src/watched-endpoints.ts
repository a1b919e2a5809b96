import { AtollError, EMPTY_BYTES } from '@atoll/core'
import { type CallContext, type CallHandler, type Method, RpcEndpoint } from '@atoll/transport'
import type { Builds } from './builds.ts'

/** Those of the run that this thread is at: there is one at a time. */
let builds: Builds | undefined
/** For a bug: of several stores that came in one message, those that failed are answered as the others are. */
let answersForFailed = false

export function watchEndpoints(of: Builds, bug: { readonly answersForFailed?: boolean | undefined }): void {
  builds = of
  answersForFailed = bug.answersForFailed === true
}

/** An endpoint is made deep inside a node: so the class is seen through, not the object. Its label names the node. */
const nodeOf = ({ label }: RpcEndpoint) => label.slice(label.lastIndexOf(' ') + 1)

const { handle, capabilitiesOf } = RpcEndpoint.prototype
RpcEndpoint.prototype.capabilitiesOf = function (this: RpcEndpoint, peer) {
  const said = capabilitiesOf.call(this, peer)
  return builds === undefined ? said : builds.heard(nodeOf(this), peer, said)
}
RpcEndpoint.prototype.handle = function <Request, Response, Progress = never>(
  this: RpcEndpoint,
  method: Method<Request, Response, Progress>,
  handler: CallHandler<Request, Response, Progress>,
): void {
  const served: typeof handler = async (request, context) => {
    if (builds?.serves(nodeOf(this), method.name, request) !== false) {
      if (!answersForFailed) return handler(request, context)
      return answered(request, await handler(request, answering(request, context)))
    }
    throw new AtollError('ATOLL_PROTOCOL', `${nodeOf(this)} does not serve ${method.name}`, {
      definite: true,
    })
  }
  Reflect.apply(handle, this, [method, served])
}

/** What is answered to a store that has changed the record. */
const STORED = { fields: [1, true], body: EMPTY_BYTES }

/** To stores of one message, as if none had failed. */
function answered<Response>(request: unknown, answer: Response): Response {
  if (!isList(request) || !isList(answer) || request.length < 2) return answer
  for (const [place, one] of answer.entries()) {
    if (isBatched(one) && 'error' in one && isStore(request[one.at]))
      answer.splice(place, 1, { at: one.at, ...STORED })
  }
  return answer
}

/** Also of those that are answered before the others. */
function answering<Progress>(request: unknown, context: CallContext<Progress>): CallContext<Progress> {
  const { from, signal } = context
  return {
    from,
    signal,
    get remainingMs() {
      return context.remainingMs
    },
    progress: (some) => context.progress(answered(request, some)),
    hasRoomFor: (bytes) => context.hasRoomFor(bytes),
  }
}

function isList(value: unknown): value is unknown[] {
  return Array.isArray(value)
}

function isBatched(value: unknown): value is { readonly at: number } {
  return typeof value === 'object' && value !== null && 'at' in value && typeof value.at === 'number'
}

function isStore(request: unknown): boolean {
  return (
    typeof request === 'object' && request !== null && 'method' in request && request.method === 'vnode.put'
  )
}
