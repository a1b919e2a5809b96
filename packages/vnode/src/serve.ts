import type { RpcEndpoint } from '@atoll/transport'
import { checkValue, checkValues } from './envelope.ts'
import type { VnodeHost } from './host.ts'
import { coordinateMethod, getMethod, putMethod, scanMethod } from './methods.ts'

/**
 * Lets other nodes ask the vnodes of this one. Values that arrive are compared with their checksums before anything is
 * stored; one that differs is refused with `ATOLL_CORRUPT`.
 */
export function serveVnodes(endpoint: Pick<RpcEndpoint, 'handle'>, host: VnodeHost): void {
  endpoint.handle(getMethod, (request) => host.get(request))
  endpoint.handle(putMethod, async (request, call) => {
    checkValues(request.record, host.crc32)
    return host.put(request, { onAccepted: () => call.progress('accepted') })
  })
  endpoint.handle(coordinateMethod, async (request) => {
    checkValue({ value: request.content.value, valueCrc32: request.valueCrc32 }, host.crc32)
    return host.coordinate(request)
  })
  endpoint.handle(scanMethod, (request, call) => host.scan(request, { signal: call.signal }))
}
