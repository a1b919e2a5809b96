import { MiB, TupleReader, wrongRange } from '@atoll/core'
import { callOrStream, LargeServer, type Method, type RpcEndpoint } from '@atoll/transport'
import { describe, expect, it } from 'vitest'
import { Atoll, CALL, type Island, OWNED_BY_N1 } from '../../handoff/test/atoll.ts'
import { content, id, write } from '../../vnode/test/world.ts'
import { VnodeReplicas } from '../src/index.ts'
import { putMethod } from '../src/methods.ts'
import { VnodeRouter } from '../src/router.ts'

const KEY = id('k')
const AT_N2 = { node: 'n2', partition: 1 }
const ROUTING = { role: 'primary', epoch: 1, forwards: 0, bySeal: false } as const

/** The parts of a node to which the first byte of every body arrives as another one. */
function hearingBadly({ endpoint, host, ownership }: Island) {
  const damaged: Pick<RpcEndpoint, 'call' | 'openStream' | 'capabilitiesOf'> = {
    capabilitiesOf: (node) => endpoint.capabilitiesOf(node),
    openStream: (...args) => endpoint.openStream(...args),
    call: async <Request, Response, Progress>(
      node: string,
      method: Method<Request, Response, Progress>,
      request: Request,
      options: { readonly timeoutMs: number },
    ) => {
      const reply = await endpoint.call(node, method, request, options)
      const { tuple, body = new Uint8Array(0) } = method.response.encode(reply)
      const heard = body.map((byte, at) => (at === 0 ? byte ^ 1 : byte))
      return method.response.decode(new TupleReader('an answer', tuple), heard)
    },
  }
  return { node: 'n1', host, endpoint: damaged, ownership: () => ownership }
}

const held = async ({ host }: Island) => (await host.get({ partition: 1, id: KEY })).record?.siblings.length

describe('an answer that is damaged leaves it open whether a write happened', () => {
  it('where another node coordinated it', async () => {
    await new Atoll(['n1', 'n2'], OWNED_BY_N1).run(async (atoll) => {
      const { partition: _, id: __, ...blind } = write(KEY, content('v'))
      const parts = hearingBadly(atoll.node('n1'))
      const asked = new VnodeReplicas(parts).coordinate(AT_N2, KEY, blind, CALL)
      await expect(asked).rejects.toMatchObject({ code: 'ATOLL_CORRUPT', definite: false })
      expect(await held(atoll.node('n2'))).toBe(1)
    })
  })

  it('where it was sent on', async () => {
    await new Atoll(['n1', 'n2'], OWNED_BY_N1).run(async (atoll) => {
      await atoll.node('n1').handoffs.transfer(1, 'n2')
      const router = new VnodeRouter(hearingBadly(atoll.node('n1')))
      const sentOn = router.coordinate({ ...write(KEY, content('v')), routing: ROUTING }, () => CALL)
      await expect(sentOn).rejects.toMatchObject({ code: 'ATOLL_CORRUPT', definite: false })
      expect(await held(atoll.node('n2'))).toBe(1)
    })
  })

  it.each([
    ['that cannot be read', 'ATOLL_CORRUPT', () => ({ tuple: ['nonsense'] })],
    [
      'that could not be sent',
      'ATOLL_STORAGE',
      () => {
        throw wrongRange('value', 'must be a finite number, got NaN')
      },
    ],
  ])('where it came as a stream, and with an answer %s', async (_, code, encode) => {
    await new Atoll(['n1', 'n2', 'n3'], OWNED_BY_N1).run(async (atoll) => {
      const [n1, n2, n3] = ['n1', 'n2', 'n3'].map((name) => atoll.node(name)) as [Island, Island, Island]
      const value = new Uint8Array(5 * MiB)
      for (const { host } of [n1, n2]) await host.coordinate(write(KEY, content(value)))
      const { record: other } = await n2.host.get({ partition: 1, id: KEY })
      if (other === undefined) throw new Error('a record is there')
      await n1.host.put({ partition: 1, id: KEY, record: other })
      const { record } = await n1.host.get({ partition: 1, id: KEY })
      if (record === undefined) throw new Error('a record is there')
      const method = { ...putMethod, name: 'test.put', response: { ...putMethod.response, encode } }
      new LargeServer(n3.endpoint).handle(method, (request) => n3.host.put(request))
      const request = { partition: 1, id: KEY, record, routing: ROUTING }
      const means = { endpoint: n1.endpoint, clock: n1.runtime.clock }
      const asked = callOrStream(means, { node: 'n3', method, request, isLarge: true }, { timeoutMs: 60_000 })
      await expect(asked).rejects.toMatchObject({ code, definite: false })
      expect(await held(n3)).toBe(2)
    })
  })
})
