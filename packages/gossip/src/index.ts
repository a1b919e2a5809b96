export type { MemberStatus } from './digest.ts'
export { Gossip, type GossipCollaborators, type GossipEvents, type MemberView } from './gossip.ts'
export { DEFAULT_GOSSIP_OPTIONS, type GossipOptions, validateGossipOptions } from './options.ts'
export type { DocumentPort, GossipEndpoint } from './ports.ts'
