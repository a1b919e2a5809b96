import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { AtollError, isAtollError, type ObjectInfo, type ObjectStore } from '@atoll/store'
import { parseRange } from './range.ts'
import { answerOf, isFault } from './statuses.ts'

export interface ServiceOptions {
  /** Hears of errors that are not the fault of the request. */
  readonly onError?: (error: unknown) => void
  /** How long the service reads on what a client sends after it was refused. Default 5000. */
  readonly lingerMs?: number
}

interface Exchange {
  readonly objects: ObjectStore
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly url: URL
  readonly bucket: string
  readonly key: string
  /** Aborted when the client hangs up. */
  readonly signal: AbortSignal
}

/** A server of `/<bucket>/<key>` and of listings at `/<bucket>`. Whoever makes it opens and closes the node. */
export function createService(objects: ObjectStore, options: ServiceOptions = {}): Server {
  const { onError = () => {}, lingerMs = 5000 } = options
  return createServer((request, response) => {
    void serve(objects, request, response).catch((error: unknown) => {
      fail(response, error)
      discardRest(request, lingerMs)
      if (isFault(answerOf(error).status)) onError(error)
    })
  })
}

async function serve(
  objects: ObjectStore,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const target = targetOf(request.url ?? '/')
  if (target === undefined) {
    response.writeHead(400, { 'content-type': 'application/json', connection: 'close' })
    response.end(JSON.stringify({ code: 'BAD_URL', message: 'the URL cannot be read' }))
    return
  }
  const { url, path } = target
  const [bucket = '', ...rest] = path
  const hungUp = new AbortController()
  response.on('close', () => hungUp.abort())
  const exchange = { objects, request, response, url, bucket, key: rest.join('/'), signal: hungUp.signal }
  const method = request.method ?? 'GET'
  if (exchange.key === '' && method === 'GET') await list(exchange)
  else if (method === 'PUT') await put(exchange)
  else if (method === 'GET') await get(exchange)
  else if (method === 'HEAD') await head(exchange)
  else if (method === 'DELETE') await remove(exchange)
  else response.writeHead(405, { allow: 'GET, HEAD, PUT, DELETE' }).end()
}

/** Whoever sets a condition must not be answered as if it had been met. */
function isConditional({ headers }: IncomingMessage): boolean {
  return headers['if-match'] !== undefined || headers['if-none-match'] !== undefined
}

/** The URL of a request and the parts of its path; undefined for what is no URL, such as `//` or `/%`. */
function targetOf(text: string): { readonly url: URL; readonly path: readonly string[] } | undefined {
  try {
    const url = new URL(text, 'http://localhost')
    return { url, path: url.pathname.slice(1).split('/').map(decodeURIComponent) }
  } catch {
    return undefined
  }
}

async function put({ objects, request, response, bucket, key, signal }: Exchange): Promise<void> {
  if (isConditional(request))
    throw new AtollError('ATOLL_STORE_UNSUPPORTED', 'the store has no conditional writes yet')
  const { 'content-length': length, 'content-type': contentType } = request.headers
  const options = { contentType, signal, ...(length === undefined ? {} : { length: Number(length) }) }
  // A put that fails would destroy the request, and with it the connection that the answer takes.
  const body = request.iterator({ destroyOnReturn: false })
  const { etag } = await objects.put(bucket, key, body, options)
  response.writeHead(201, { etag: `"${etag}"` }).end()
}

async function get({ objects, request, response, bucket, key, signal }: Exchange): Promise<void> {
  const info = await objects.head(bucket, key, { signal })
  if (isKnown(request, info)) {
    response.writeHead(304, headersOf(info)).end()
    return
  }
  const range = wantsWhole(request, info) ? undefined : parseRange(request.headers.range)
  const object = await objects.get(bucket, key, { range, signal })
  const { start, end } = object.range
  const partial = range === undefined ? {} : { 'content-range': `bytes ${start}-${end - 1}/${object.size}` }
  response.writeHead(range === undefined ? 200 : 206, {
    ...headersOf(object),
    ...partial,
    'content-length': end - start,
  })
  // Waits whenever the client is slower than the store, and destroys the answer if a block cannot be read.
  await pipeline(Readable.from(object.body, { objectMode: false }), response)
}

async function head({ objects, request, response, bucket, key, signal }: Exchange): Promise<void> {
  const info = await objects.head(bucket, key, { signal })
  response
    .writeHead(isKnown(request, info) ? 304 : 200, { ...headersOf(info), 'content-length': info.size })
    .end()
}

async function remove({ objects, response, bucket, key, signal }: Exchange): Promise<void> {
  await objects.delete(bucket, key, { signal })
  response.writeHead(204).end()
}

async function list({ objects, response, url, bucket, signal }: Exchange): Promise<void> {
  const of = (name: string) => url.searchParams.get(name) ?? undefined
  const limit = url.searchParams.has('limit') ? Number(url.searchParams.get('limit')) : undefined
  const page = await objects.list(bucket, {
    prefix: of('prefix'),
    delimiter: of('delimiter'),
    after: of('after'),
    limit,
    signal,
  })
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(page))
}

function headersOf({ etag, contentType, lastModifiedMs }: ObjectInfo): Record<string, string> {
  return {
    etag: `"${etag}"`,
    'content-type': contentType,
    'last-modified': new Date(lastModifiedMs).toUTCString(),
    'accept-ranges': 'bytes',
  }
}

/**
 * Whether a client has a part of another version: it wants the rest of the same, or else all (RFC 9110, 13.1.5). By strong
 * comparison, so that no date and no weak tag is the same.
 */
function wantsWhole(request: IncomingMessage, { etag }: ObjectInfo): boolean {
  const condition = request.headers['if-range']
  return condition !== undefined && condition !== `"${etag}"`
}

/** By weak comparison: a proxy that compresses an answer makes its tag weak (RFC 9110, 13.1.2). */
function isKnown(request: IncomingMessage, { etag }: ObjectInfo): boolean {
  const tags = (request.headers['if-none-match'] ?? '').split(',')
  const known = tags.map((tag) => tag.trim().replace(/^W\//, ''))
  return known.includes(`"${etag}"`) || known.includes('*')
}

/** Before the head of an answer is out an error is a status; after it, the answer can only be cut off. */
function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const { status, code, message, transient } = answerOf(error)
  const retry = transient ? { 'retry-after': '1' } : {}
  // How large the object is, for whoever asked for bytes that it does not have (RFC 9110, 15.5.17).
  const size = isAtollError(error, 'ATOLL_RANGE')
    ? { 'content-range': `bytes */${error.details['size']}` }
    : {}
  response.writeHead(status, { 'content-type': 'application/json', ...retry, ...size })
  response.end(JSON.stringify({ code, message }))
}

/**
 * Reads what a client goes on sending after it was refused. If the service closed the connection instead, the client
 * would see that it broke, and not the answer. Whoever sends for longer than that is cut off.
 */
function discardRest(request: IncomingMessage, lingerMs: number): void {
  if (request.complete || request.destroyed) return
  const tooLong = setTimeout(() => request.destroy(), lingerMs)
  request.once('close', () => clearTimeout(tooLong))
  request.on('data', () => {}).resume()
}
