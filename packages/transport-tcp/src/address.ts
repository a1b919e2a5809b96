import { wrongRange } from '@atoll/core'
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
