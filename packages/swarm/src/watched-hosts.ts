import type { Runtime } from '@atoll/core'
import { AtollNode } from '@atoll/node'
import { VnodeHost } from '@atoll/vnode'
import type { Watch } from './watch.ts'

export interface HostWatch {
  readonly watch: Watch
  /** Changes a host before it is opened: how a bug is put in. */
  readonly alter: (host: VnodeHost) => void
  /** The same for a node. */
  readonly alterNode: (node: AtollNode) => void
}

/** Who watches over the hosts of a runtime. */
const watches = new WeakMap<Runtime, HostWatch>()

/** Every write that a host of this runtime takes as that of a holder is shown from now on. */
export function watchHosts(runtime: Runtime, watch: HostWatch): void {
  watches.set(runtime, watch)
}

interface Asked {
  readonly partition: number
  readonly routing?: { readonly role: string }
}

function show(host: VnodeHost, { partition, routing }: Asked): void {
  if (routing?.role === 'primary') watches.get(host.runtime)?.watch.onTaken({ host, partition })
}

/** A request that fails by an assertion is a failed replica to whoever asked, and one more node does it. */
function heeded<T>(host: VnodeHost, request: Promise<T>): Promise<T> {
  const { watch } = watches.get(host.runtime) ?? {}
  request.catch((error: unknown) => watch?.onError(host.node, error))
  return request
}

/** A host is made deep inside a node, once for each of its lives: so the class is seen through, not the object. */
const { open, put, coordinate } = VnodeHost.prototype
VnodeHost.prototype.open = function (this: VnodeHost) {
  if (this.state === 'new') watches.get(this.runtime)?.alter(this)
  return open.call(this)
}
VnodeHost.prototype.put = function (this: VnodeHost, request, options) {
  show(this, request)
  return heeded(this, put.call(this, request, options))
}
VnodeHost.prototype.coordinate = function (this: VnodeHost, request) {
  show(this, request)
  return heeded(this, coordinate.call(this, request))
}

const { open: openNode } = AtollNode.prototype
AtollNode.prototype.open = function (this: AtollNode) {
  if (this.state === 'new') watches.get(this.runtime)?.alterNode(this)
  return openNode.call(this)
}
