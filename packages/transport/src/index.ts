export type { Admits } from './admission.ts'
export { Backoff, type BackoffOptions } from './backoff.ts'
export { BatchCalls, type BatchCallsParts } from './batch-calls.ts'
export { type BatchedAnswer, type BatchedRequest, type BatchMethod, batchMethod } from './batch-messages.ts'
export { BatchServer } from './batch-server.ts'
export type { ByteStream } from './byte-stream.ts'
export { isCapable, type PeerCapabilities } from './capabilities.ts'
export type { StreamOptions } from './client-link.ts'
export { type RpcCollaborators, RpcEndpoint, type RpcEvents, type Visit } from './endpoint.ts'
export {
  type Allocate,
  type Crc32,
  encodeFrame,
  FrameDecoder,
  PROLOGUE_BYTES,
  writePrologue,
} from './framing.ts'
export { OWN_NAME } from './handshake.ts'
export { type Identity, type IdentityPort, type Peer, type Standing, WRONG_IDENTITY } from './identity.ts'
export { callOrStream, FRAME_ROOM, LargeServer } from './large-calls.ts'
export { MemoryNetwork } from './memory-network.ts'
export type { Message, MessageCodec, Method, StreamMethod } from './method.ts'
export {
  DEFAULT_FRAME_LIMITS,
  type FrameLimits,
  type MemoryNetworkOptions,
  type RpcOptions,
} from './options.ts'
export type { RpcCallOptions } from './pending-call.ts'
export type { Connection, ConnectOptions, Frame, Listener, Transport, TransportFactory } from './ports.ts'
export type { CallContext, CallHandler } from './server-call.ts'
export type { StreamContext, StreamHandler } from './server-stream.ts'
export { readVersion, versioned, withVersion } from './versioned.ts'
