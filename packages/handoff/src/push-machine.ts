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
}

/** Where a page of records is on its way to a vnode of another node. `held` are those that it has. */
export type PushState<Item extends Pushed> =
  | { readonly at: 'offering'; readonly items: readonly Item[] }
  | {
      readonly at: 'sending'
      readonly held: readonly Item[]
      /** The first one is under way. */
      readonly messages: readonly (readonly Item[])[]
    }
  | { readonly at: 'done'; readonly held: readonly Item[] }

export type PushEvent =
  /** Places of the records that the vnode lacks. */
  | { readonly kind: 'lacking'; readonly places: readonly number[] }
  /** The message is there, durably; places of its records that the vnode will never take. */
  | { readonly kind: 'sent'; readonly refused: readonly number[] }
  /** The message is too large for the way. */
  | { readonly kind: 'too-large' }

/** Heads and keys of one message, in bytes; a single record may exceed it. They travel in the head of one frame. */
export const MESSAGE_HEAD_BYTES = 512 * KiB

export function beginPush<Item extends Pushed>(items: readonly Item[]): PushState<Item> {
  return items.length === 0 ? { at: 'done', held: [] } : { at: 'offering', items }
}

/**
 * Brings records to a vnode: offers all of them, and sends what it lacks, message by message. A message that is too large
 * for the way is sent record by record, so that only the guilty one stays behind.
 */
export function nextPush<Item extends Pushed>(
  state: PushState<Item>,
  event: PushEvent,
  means: PushMeans<Item>,
): PushState<Item> {
  if (event.kind === 'lacking') {
    assert(state.at === 'offering', 'an offer is answered once')
    const lacking = new Set(event.places)
    const held = state.items.filter((_, at) => !lacking.has(at))
    const items = state.items.filter((_, at) => lacking.has(at))
    return send(held, messagesOf(items, means))
  }
  assert(state.at === 'sending', 'a message was under way')
  const [message = [], ...rest] = state.messages
  if (event.kind === 'too-large') {
    const parts = message.length === 1 ? [] : message.map((item) => [item])
    return send(state.held, [...parts, ...rest])
  }
  const refused = new Set(event.refused)
  return send([...state.held, ...message.filter((_, at) => !refused.has(at))], rest)
}

function send<Item extends Pushed>(
  held: readonly Item[],
  messages: readonly (readonly Item[])[],
): PushState<Item> {
  return messages.length === 0 ? { at: 'done', held } : { at: 'sending', held, messages }
}

/** A page is of heads: their values may have far more bytes than fit into a message, and so may heads. */
function messagesOf<Item extends Pushed>(
  items: readonly Item[],
  { isLarge, messageBytes }: PushMeans<Item>,
): readonly (readonly Item[])[] {
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
