import type { Method } from '@atoll/transport'
import {
  documentReplyCodec,
  documentRequestCodec,
  exchangeReplyCodec,
  newsCodec,
  pongCodec,
  relayReplyCodec,
  relayRequestCodec,
} from './codec.ts'
import type { DocumentReply, ExchangeReply, News, Pong, RelayReply, RelayRequest } from './protocol.ts'

/** Are you there? Urgent, as all but the document are: it waits for no block, and tries a peer that others gave up on. */
export const pingMethod: Method<News, Pong> = {
  name: 'gossip.ping',
  request: newsCodec,
  response: pongCodec,
  urgent: true,
}

/** Is that one there? */
export const relayMethod: Method<RelayRequest, RelayReply> = {
  name: 'gossip.ping-req',
  request: relayRequestCodec,
  response: relayReplyCodec,
  urgent: true,
}

/** These I know; what do you know better? */
export const exchangeMethod: Method<News, ExchangeReply> = {
  name: 'gossip.exchange',
  request: newsCodec,
  response: exchangeReplyCodec,
  urgent: true,
}

export const documentMethod: Method<null, DocumentReply> = {
  name: 'gossip.document',
  request: documentRequestCodec,
  response: documentReplyCodec,
}
