import { type TransportNetwork, transportSuite } from '@atoll/conformance'
import type { TcpTransport } from '@atoll/transport-tcp'
import { beforeAll, describe, test } from 'vitest'
import { Authority } from './authority.ts'
import { createParty, freePort } from './world.ts'

/** The labels that somebody may listen at; nobody listens at the others. */
const LISTENERS = ['server', 'nobody']
const CLIENTS = ['client', ...Array.from({ length: 10 }, (_, at) => `client ${at}`)]

const files = new Map<string, Awaited<ReturnType<Authority['issue']>>>()
let authority: Authority

beforeAll(async () => {
  authority = await Authority.create('the reef')
})

async function createNetwork(secure: boolean): Promise<TransportNetwork> {
  const ports = new Map<string, number>()
  for (const label of LISTENERS) ports.set(label, await freePort())
  const addressFor = (label: string) => `127.0.0.1:${ports.get(label) ?? CLIENTS.indexOf(label) + 1}`
  const transports = new Map<string, TcpTransport>()
  for (const label of [...LISTENERS, ...CLIENTS]) {
    const node = label.replace(' ', '-')
    if (secure && !files.has(node)) files.set(node, await authority.issue(node))
    const tls = secure ? files.get(node) : undefined
    transports.set(addressFor(label), createParty(node, tls === undefined ? {} : { tls }).transport)
  }
  return {
    transport: (address) => {
      const transport = transports.get(address)
      if (transport === undefined) throw new Error(`nobody is at ${address}`)
      return transport
    },
    addressFor,
    close: async () => {},
  }
}

transportSuite({ describe, test }, { name: 'TCP', create: () => createNetwork(false) })
transportSuite({ describe, test }, { name: 'TLS', create: () => createNetwork(true) })
