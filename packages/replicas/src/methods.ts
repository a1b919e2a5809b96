import { batchMethod, type Method } from '@atoll/transport'
import type {
  CoordinateReply,
  CoordinateRequest,
  GetReply,
  GetRequest,
  HintRequest,
  PutReply,
  PutRequest,
  ScanReply,
  ScanRequest,
} from '@atoll/vnode'
import {
  acceptedCodec,
  coordinateReplyCodec,
  coordinateRequestCodec,
  decidedCodec,
  getReplyCodec,
  getRequestCodec,
  hintReplyCodec,
  hintRequestCodec,
  putReplyCodec,
  putRequestCodec,
  scanReplyCodec,
  scanRequestCodec,
} from './codec.ts'
import type { Routed } from './protocol.ts'

export const getMethod: Method<Routed<GetRequest>, GetReply> = {
  name: 'vnode.get',
  request: getRequestCodec,
  response: getReplyCodec,
}

/** Tells "accepted" when the record is in memory, and answers when it is on disk. */
export const putMethod: Method<Routed<PutRequest>, PutReply, 'accepted'> = {
  name: 'vnode.put',
  request: putRequestCodec,
  response: putReplyCodec,
  progress: acceptedCodec,
}

/** Tells the head of the result when that is decided, if it is asked to, and answers when it is on disk. */
export const coordinateMethod: Method<Routed<CoordinateRequest>, CoordinateReply, Uint8Array> = {
  name: 'vnode.coordinate',
  request: coordinateRequestCodec,
  response: coordinateReplyCodec,
  progress: decidedCodec,
}

/** Notes that holders miss a record that the vnode has. Only for those who know `HINTS`. */
export const hintMethod: Method<Routed<HintRequest>, 'done'> = {
  name: 'vnode.hint',
  request: hintRequestCodec,
  response: hintReplyCodec,
}

export const scanMethod: Method<Routed<ScanRequest>, ScanReply> = {
  name: 'vnode.scan',
  request: scanRequestCodec,
  response: scanReplyCodec,
}

/** Stores and digest reads of one turn. Only for those who know `BATCHES`. */
export const batchOfCalls = batchMethod('vnode.batch')
