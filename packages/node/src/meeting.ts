import { AtollError, isAtollError, isName, type TupleReader } from '@atoll/core'
import { type ClusterDocument, decodeDocument } from '@atoll/membership'
import type { NodeName } from '@atoll/ring'
import { type Method, OWN_NAME, type RpcEndpoint, type Transport } from '@atoll/transport'
import { documentMethod } from './control-methods.ts'

/** Where a node listens, and which data of which cluster it has; of no cluster it says nothing else. */
export interface MeetRequest {
  readonly clusterId: string | undefined
  readonly memberId: string | undefined
  readonly address: string | undefined
}

export interface MeetAnswer {
  /** Where the node that was met listens, as others are told. */
  readonly address: string | undefined
  /** Its document; empty if it has none. */
  readonly bytes: Uint8Array
}

const MAX_ADDRESS_CHARACTERS = 255

/** Two nodes meet, of which the one that asks knew only an address: they tell each other where they are. */
export const meetMethod: Method<MeetRequest, MeetAnswer> = {
  name: 'node.meet',
  openToStrangers: true,
  request: {
    encode: ({ clusterId, memberId, address }) => ({
      tuple: [clusterId ?? null, memberId ?? null, address ?? null],
    }),
    decode: (reader) => ({
      clusterId: reader.optional(readId),
      memberId: reader.optional(readId),
      address: reader.optional(readAddress),
    }),
  },
  response: {
    encode: ({ address, bytes }) => ({ tuple: [address ?? null], body: bytes }),
    decode: (reader, body) => ({ address: reader.optional(readAddress), bytes: body }),
  },
}

function readId(reader: TupleReader): string {
  const id = reader.string()
  if (!isName(id)) throw corrupt(`an id of ${id.length} characters`)
  return id
}

function readAddress(reader: TupleReader): string {
  const address = reader.string()
  if (address.length > 0 && address.length <= MAX_ADDRESS_CHARACTERS) return address
  throw corrupt(`an address of ${address.length} characters`)
}

function corrupt(what: string): AtollError {
  return new AtollError('ATOLL_CORRUPT', `a meeting cannot be read: it has ${what}`)
}

/** Who was met where; without a document it is of no cluster yet. */
export interface Met {
  readonly node: NodeName
  readonly address: string
  readonly document: ClusterDocument | undefined
  readonly bytes: Uint8Array
}

/** What became of one seed. */
export type Meeting =
  | { readonly seed: string; readonly kind: 'met'; readonly met: Met }
  /** It is the node that asks. */
  | { readonly seed: string; readonly kind: 'itself' }
  | { readonly seed: string; readonly kind: 'failed'; readonly error: AtollError }

export interface MeetParts {
  readonly endpoint: Pick<RpcEndpoint, 'visit'>
  readonly transport: Transport
  /** What this node says; its own address is not asked. */
  readonly request: MeetRequest
  readonly signal?: AbortSignal | undefined
}

const TIMEOUT_MS = 3000
const SILENT: readonly string[] = ['ATOLL_UNREACHABLE', 'ATOLL_TIMEOUT']
/** Addresses of all seeds together. */
const MAX_ADDRESSES = 256

/** Nobody has said anything: whoever is there may do so later. */
export function isSilence({ code }: AtollError): boolean {
  return SILENT.includes(code)
}

/** Meets everybody who listens at the addresses of the seeds, all at one time. */
export async function meetAll(parts: MeetParts, seeds: readonly string[]): Promise<readonly Meeting[]> {
  const resolved = await Promise.all(seeds.map((seed) => addressesOf(parts.transport, seed)))
  const failed = resolved.flatMap((addresses) => (Array.isArray(addresses) ? [] : [addresses]))
  const found = resolved.flatMap((addresses) => (Array.isArray(addresses) ? addresses : []))
  const others = [...new Set(found)].filter((address) => address !== parts.request.address)
  const met = await Promise.all(others.slice(0, MAX_ADDRESSES).map((address) => meet(parts, address)))
  return [...met, ...failed]
}

async function addressesOf(transport: Transport, seed: string): Promise<string[] | Meeting> {
  try {
    return transport.resolve === undefined ? [seed] : [...(await transport.resolve(seed))]
  } catch (error) {
    if (!isAtollError(error)) throw error
    return { seed, kind: 'failed', error }
  }
}

async function meet(parts: MeetParts, seed: string): Promise<Meeting> {
  try {
    const { node, address, bytes } = await visit(parts, seed)
    const document = bytes.length === 0 ? undefined : decodeDocument(bytes)
    return { seed, kind: 'met', met: { node, address: address ?? seed, document, bytes } }
  } catch (error) {
    if (!isAtollError(error)) throw error
    return error.details['reason'] === OWN_NAME ? { seed, kind: 'itself' } : { seed, kind: 'failed', error }
  }
}

/** A program from before there were meetings gives its document all the same. */
async function visit(
  { endpoint, request, signal }: MeetParts,
  seed: string,
): Promise<MeetAnswer & { readonly node: NodeName }> {
  const options = { timeoutMs: TIMEOUT_MS, signal }
  try {
    const { node, answer } = await endpoint.visit(seed, meetMethod, request, options)
    return { node, ...answer }
  } catch (error) {
    if (!isAtollError(error, 'ATOLL_PROTOCOL') || error.details['reason'] !== undefined) throw error
    const { node, answer } = await endpoint.visit(seed, documentMethod, null, options)
    return { node, address: undefined, bytes: answer }
  }
}
