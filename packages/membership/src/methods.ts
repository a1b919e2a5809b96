import type { Method } from '@atoll/transport'
import {
  acceptAnswerCodec,
  acceptRequestCodec,
  joinAnswerCodec,
  joinRequestCodec,
  prepareAnswerCodec,
  prepareRequestCodec,
  tellAnswerCodec,
  tellRequestCodec,
} from './message-codec.ts'
import type {
  AcceptAnswer,
  AcceptRequest,
  JoinAnswer,
  JoinRequest,
  PrepareAnswer,
  PrepareRequest,
  TellAnswer,
  TellRequest,
} from './protocol.ts'

export const prepareMethod: Method<PrepareRequest, PrepareAnswer> = {
  name: 'membership.prepare',
  request: prepareRequestCodec,
  response: prepareAnswerCodec,
}

export const acceptMethod: Method<AcceptRequest, AcceptAnswer> = {
  name: 'membership.accept',
  request: acceptRequestCodec,
  response: acceptAnswerCodec,
}

export const tellMethod: Method<TellRequest, TellAnswer> = {
  name: 'membership.tell',
  request: tellRequestCodec,
  response: tellAnswerCodec,
}

export const joinMethod: Method<JoinRequest, JoinAnswer> = {
  name: 'membership.join',
  openToStrangers: true,
  request: joinRequestCodec,
  response: joinAnswerCodec,
}
