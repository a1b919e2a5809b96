import type { Method } from '@atoll/transport'
import {
  doneCodec,
  endRequestCodec,
  offerReplyCodec,
  offerRequestCodec,
  partitionCodec,
  sendReplyCodec,
  sendRequestCodec,
} from './codec.ts'
import type {
  EndRequest,
  OfferReply,
  OfferRequest,
  PartitionRequest,
  SendReply,
  SendRequest,
} from './protocol.ts'

export const offerMethod: Method<OfferRequest, OfferReply> = {
  name: 'vnode.handoff-offer',
  request: offerRequestCodec,
  response: offerReplyCodec,
}

export const sendMethod: Method<SendRequest, SendReply> = {
  name: 'vnode.handoff-send',
  request: sendRequestCodec,
  response: sendReplyCodec,
}

/**
 * Tells that the sender accepts nothing for the partition any more, and forwards everything to the node that is told. To
 * the node that had sealed it to the sender, it says that the partition is returned.
 */
export const sealMethod: Method<PartitionRequest, 'done'> = {
  name: 'vnode.handoff-seal',
  request: partitionCodec,
  response: doneCodec,
}

/** Asks for a partition back that was sealed to the node that is asked, which returns it in its own time. */
export const returnMethod: Method<PartitionRequest, 'done'> = {
  name: 'vnode.handoff-return',
  request: partitionCodec,
  response: doneCodec,
}

/** Tells that nothing more of this handoff comes for now. */
export const endMethod: Method<EndRequest, 'done'> = {
  name: 'vnode.handoff-end',
  request: endRequestCodec,
  response: doneCodec,
}
