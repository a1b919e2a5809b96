import { lookup } from 'node:dns/promises'
import { AtollError, messageOf, wrongRange } from '@atoll/core'

export interface HostPort {
  readonly host: string
  readonly port: number
}

const FORM = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/

/** Reads "host:port" or "[v6]:port". Throws `RangeError` for anything else, calling it `what`. */
export function parseAddress(address: string, what = 'an address'): HostPort {
  const [, v6, name, digits] = FORM.exec(address) ?? []
  const host = v6 ?? name
  const port = Number(digits)
  if (host === undefined || !(port <= 65_535)) {
    throw wrongRange(what, `must be "host:port" or "[v6]:port", got "${address}"`)
  }
  return { host, port }
}

export function formatAddress({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** One address for each machine that has the name. Throws `ATOLL_UNREACHABLE` for a name that nobody has, or no address. */
export async function resolveAddress(address: string): Promise<readonly string[]> {
  try {
    const { host, port } = parseAddress(address)
    const found = await lookup(host, { all: true })
    return [...new Set(found.map((one) => formatAddress({ host: one.address, port })))]
  } catch (cause) {
    throw new AtollError('ATOLL_UNREACHABLE', `cannot resolve ${address}: ${messageOf(cause)}`, { cause })
  }
}
