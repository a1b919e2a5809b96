import { assert, KiB } from '@atoll/core'

/** What the machine has to know of a record. */
export interface Pushed {
  /** Of what is stored of it, what is not values. */
  readonly headBytes: number
  /** All that is stored of it. */
  readonly bytes: number
}

export interface PushMeans<Item> {
  /** Which records go alone, as a stream. */
  readonly isLarge: (item: Item) => boolean
  /** Bytes of the records of one message; a single record may exceed it. */
  readonly messageBytes: number
  /** Messages that are under way at a time. */
  readonly messagesAtOnce: number
}

/** Records that travel together. */
export type PushMessage<Item> = readonly Item[]

/** Where a page of records is on its way to a vnode of another node. `held` are those that it has. */
export type PushState<Item extends Pushed> =
  | { readonly at: 'offering'; readonly items: readonly Item[] }
  | {
      readonly at: 'sending'
      readonly held: readonly Item[]
      readonly underWay: readonly PushMessage<Item>[]
      readonly waiting: readonly PushMessage<Item>[]
    }
  | { readonly at: 'done'; readonly held: readonly Item[] }

export type PushEvent<Item> =
  /** Places of the records that the vnode lacks. */
  | { readonly kind: 'lacking'; readonly places: readonly number[] }
  /** A message that was under way is there, durably; places of its records that the vnode will never take. */
  | { readonly kind: 'sent'; readonly message: PushMessage<Item>; readonly refused: readonly number[] }
  /** It is too large for the way. */
  | { readonly kind: 'too-large'; readonly message: PushMessage<Item> }

/** Heads and keys of one message, in bytes; a single record may exceed it. They travel in the head of one frame. */
export const MESSAGE_HEAD_BYTES = 512 * KiB

export function beginPush<Item extends Pushed>(items: readonly Item[]): PushState<Item> {
  return items.length === 0 ? { at: 'done', held: [] } : { at: 'offering', items }
}

/**
 * Brings records to a vnode: offers all of them, and sends what it lacks, a few messages at a time, so that it flushes what
 * comes while the next is on its way. A message that is too large for the way is sent record by record, so that only the
 * guilty one stays behind.
 */
export function nextPush<Item extends Pushed>(
  state: PushState<Item>,
  event: PushEvent<Item>,
  means: PushMeans<Item>,
): PushState<Item> {
  if (event.kind === 'lacking') {
    assert(state.at === 'offering', 'an offer is answered once')
    const lacking = new Set(event.places)
    const held = state.items.filter((_, at) => !lacking.has(at))
    const items = state.items.filter((_, at) => lacking.has(at))
    return send({ held, underWay: [], waiting: messagesOf(items, means) }, means)
  }
  const { message } = event
  assert(state.at === 'sending' && state.underWay.includes(message), 'the message was under way')
  const { held, waiting } = state
  const underWay = state.underWay.filter((other) => other !== message)
  if (event.kind === 'too-large') {
    const parts = message.length === 1 ? [] : message.map((item) => [item])
    return send({ held, underWay, waiting: [...parts, ...waiting] }, means)
  }
  const refused = new Set(event.refused)
  const arrived = message.filter((_, at) => !refused.has(at))
  return send({ held: [...held, ...arrived], underWay, waiting }, means)
}

type Sending<Item extends Pushed> = Omit<Extract<PushState<Item>, { readonly at: 'sending' }>, 'at'>

function send<Item extends Pushed>(
  { held, underWay, waiting }: Sending<Item>,
  { messagesAtOnce }: Pick<PushMeans<Item>, 'messagesAtOnce'>,
): PushState<Item> {
  if (underWay.length + waiting.length === 0) return { at: 'done', held }
  const room = messagesAtOnce - underWay.length
  const [begun, left] = [waiting.slice(0, room), waiting.slice(room)]
  return { at: 'sending', held, underWay: [...underWay, ...begun], waiting: left }
}

/** A page is of heads: their values may have far more bytes than fit into a message, and so may heads. */
function messagesOf<Item extends Pushed>(
  items: readonly Item[],
  { isLarge, messageBytes }: PushMeans<Item>,
): readonly PushMessage<Item>[] {
  const messages: Item[][] = []
  let [headBytes, bytes] = [0, 0]
  let isFull = true
  for (const item of items) {
    const isAlone = isLarge(item)
    headBytes += item.headBytes
    bytes += item.bytes
    if (isFull || isAlone || headBytes > MESSAGE_HEAD_BYTES || bytes > messageBytes) {
      messages.push([])
      headBytes = item.headBytes
      bytes = item.bytes
    }
    messages.at(-1)?.push(item)
    isFull = isAlone
  }
  return messages
}
