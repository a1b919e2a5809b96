import { AtollError } from '@atoll/core'
import { type CallHandler, type Method, RpcEndpoint } from '@atoll/transport'
import type { Builds } from './builds.ts'

/** Those of the run that this thread is at: there is one at a time. */
let builds: Builds | undefined

export function watchEndpoints(of: Builds): void {
  builds = of
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
    if (builds?.serves(nodeOf(this), method.name, request) !== false) return handler(request, context)
    throw new AtollError('ATOLL_PROTOCOL', `${nodeOf(this)} does not serve ${method.name}`, {
      definite: true,
    })
  }
  Reflect.apply(handle, this, [method, served])
}
