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
      metrics.count('gossip_transitions_total', 1, { to: decision.to })
      log.info({ node, peer: decision.node, before: decision.from }, SAID[decision.to])
      break
    case 'probed':
      metrics.count('gossip_probes_total', 1, { outcome: decision.outcome })
      break
    case 'false-alarm':
      metrics.count('gossip_false_alarms_total')
      break
    case 'refuted':
      metrics.count('gossip_refutations_total')
      log.info({ node, incarnation: decision.incarnation }, 'refuted what was said of this node')
      break
    case 'stalled':
      metrics.count('gossip_stalls_total')
      log.warn({ node, lateMs: decision.lateMs }, 'this node stood still')
  }
}
