import { encodeHead, type StoredRecord } from '@atoll/causality'
import { BatchServer, type CallContext, LargeServer, type RpcEndpoint } from '@atoll/transport'
import { checkPlaceKnown, checkValue, checkValues, keepValues, type VnodeHost } from '@atoll/vnode'
import { isLargeRecord } from './large-records.ts'
import { batchOfCalls, coordinateMethod, getMethod, hintMethod, putMethod, scanMethod } from './methods.ts'
import type { Patience } from './mirrored-vnodes.ts'
import type { Ownership } from './route.ts'
import { VnodeRouter } from './router.ts'

export interface ServeOptions {
  /** What this node's document says of who owns what; default that every request is served where it comes. */
  readonly ownership?: (() => Ownership) | undefined
}

/**
 * Lets other nodes ask the vnodes of this one. Values that arrive are compared with their checksums before anything is
 * stored; one that differs is refused with `ATOLL_CORRUPT`. A request for a vnode that has moved is sent on.
 */
export function serveVnodes(
  endpoint: Pick<RpcEndpoint, 'handle' | 'call' | 'handleStream' | 'openStream' | 'capabilitiesOf'>,
  host: VnodeHost,
  { ownership }: ServeOptions = {},
): void {
  const router = new VnodeRouter({ host, endpoint, ownership })
  const batches = new BatchServer(endpoint, batchOfCalls, host.runtime)
  const large = new LargeServer({
    handle: (...method) => batches.handle(...method),
    handleStream: (...method) => endpoint.handleStream(...method),
  })
  large.handle(
    getMethod,
    (request, call) => router.get(request, patienceOf(call)),
    ({ record }) => isLargeRecord(record),
  )
  large.handle(putMethod, (request, call) => {
    checkValues(request.record, host.crc32)
    const onAccepted = request.quiet ? undefined : () => call.progress('accepted')
    return router.put(request, patienceOf(call), onAccepted).then((reply) => {
      // Between nodes of one process they are those of the node that asks, which takes them back when it is answered.
      if (reply.released !== true) keepValues(request.record)
      return reply
    })
  })
  // Asked for once more, by a stream, it is the same write, and answers what is there.
  large.handle(
    coordinateMethod,
    (request, call) => {
      checkValue({ value: request.content.value, valueCrc32: request.valueCrc32 }, host.crc32)
      const { writeId, tellDecided } = request
      const onDecided = (record: StoredRecord) => {
        const [only, ...others] = record.siblings
        // Whoever asks has this value, and needs no other one.
        if (others.length > 0 || only?.writeId !== writeId || isLargeRecord(record)) return
        const head = encodeHead(record)
        // Where it cannot be told now, the answer tells it.
        if (call.hasRoomFor(head.length)) call.progress(head)
      }
      return router.coordinate(request, patienceOf(call), tellDecided ? onDecided : undefined)
    },
    ({ record }) => isLargeRecord(record),
  )
  endpoint.handle(hintMethod, (request, call) => router.hint(request, patienceOf(call)))
  endpoint.handle(scanMethod, async (request, call) => {
    const reply = await router.scan(request, patienceOf(call))
    const abilities = endpoint.capabilitiesOf(call.from)
    for (const entry of reply.entries) checkPlaceKnown(call.from, abilities, entry)
    return reply
  })
}

/** Asked only when a request does not end here: a signal costs. */
function patienceOf<Progress>(call: CallContext<Progress>): () => Patience {
  return () => ({ timeoutMs: call.remainingMs, signal: call.signal })
}
