import type { Runtime } from '@atoll/core'
import type { GossipDecision } from './events.ts'

const SAID = {
  alive: 'peer is alive',
  suspect: 'peer is suspect',
  dead: 'peer is dead',
} as const

/** Counts and logs what the machine of `node` decided. */
export function record({ log, metrics }: Runtime, node: string, decision: GossipDecision): void {
  switch (decision.kind) {
    case 'status':
      metrics.count('atoll_gossip_transitions_total', 1, { to: decision.to })
      log.info({ node, peer: decision.node, before: decision.from }, SAID[decision.to])
      break
    case 'probed':
      metrics.count('atoll_gossip_probes_total', 1, { outcome: decision.outcome })
      break
    case 'false-alarm':
      metrics.count('atoll_gossip_false_alarms_total')
      break
    case 'refuted':
      metrics.count('atoll_gossip_refutations_total')
      log.info({ node, incarnation: decision.incarnation }, 'this node refuted that it is suspect or dead')
      break
    case 'stalled':
      metrics.count('atoll_gossip_stalls_total')
      log.warn({ node, lateMs: decision.lateMs }, 'this process was stalled')
  }
}
