import type { Runtime } from '@atoll/core'
import { AtollNode } from '@atoll/node'
import { type RecordDigest, VnodeHost } from '@atoll/vnode'
import { KeptWrites } from './kept-writes.ts'
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

/** What hosts have taken while they converted what a build before had left. */
const kept = new WeakMap<VnodeHost, KeptWrites>()

/** A host is made deep inside a node, once for each of its lives: so the class is seen through, not the object. */
const { open, put, coordinate, drop, handoffOf } = VnodeHost.prototype
VnodeHost.prototype.open = async function (this: VnodeHost) {
  const known = watches.get(this.runtime)
  if (known !== undefined && this.state === 'new') known.alter(this)
  await open.call(this)
  if (known === undefined) return
  const writes = new KeptWrites(this)
  kept.set(this, writes)
  void this.converted.then(() => writes.check((id) => known.watch.onForgotten(this.node, id)))
}
VnodeHost.prototype.put = async function (this: VnodeHost, request, options) {
  show(this, request)
  const reply = await heeded(this, put.call(this, request, options))
  const { partition, id, record } = request
  kept.get(this)?.took({ partition, id, clock: record.clock })
  return reply
}
VnodeHost.prototype.coordinate = async function (this: VnodeHost, request, options) {
  show(this, request)
  const reply = await heeded(this, coordinate.call(this, request, options))
  const { partition, id } = request
  if (!reply.declined) kept.get(this)?.took({ partition, id, clock: reply.record.clock })
  return reply
}
VnodeHost.prototype.drop = function (this: VnodeHost, partition) {
  kept.get(this)?.dropped(partition)
  return drop.call(this, partition)
}
VnodeHost.prototype.handoffOf = function (this: VnodeHost, partition) {
  const vnode = handoffOf.call(this, partition)
  const remove = vnode.remove.bind(vnode)
  return Object.assign(vnode, {
    remove: (entry: RecordDigest) => {
      kept.get(this)?.removed(partition, entry.id)
      return remove(entry)
    },
  })
}

const { open: openNode } = AtollNode.prototype
AtollNode.prototype.open = function (this: AtollNode) {
  if (this.state === 'new') watches.get(this.runtime)?.alterNode(this)
  return openNode.call(this)
}
