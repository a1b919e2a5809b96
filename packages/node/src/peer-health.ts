/**
 * What one node believes of its peers, as a step machine. A peer is up until a connection to it breaks or it misses
 * `downAfterMisses` heartbeats in a row; it is up again with the first heartbeat that it answers.
 */
export interface PeerHealth {
  readonly up: boolean
  /** Heartbeats missed in a row. */
  readonly misses: number
}

export type PeerEvent = 'answered' | 'missed' | 'disconnected'

export const HEALTHY: PeerHealth = { up: true, misses: 0 }

export function stepPeer(health: PeerHealth, event: PeerEvent, downAfterMisses: number): PeerHealth {
  switch (event) {
    case 'answered':
      return HEALTHY
    case 'disconnected':
      return { up: false, misses: Math.max(health.misses, downAfterMisses) }
    case 'missed': {
      const misses = health.misses + 1
      return { up: health.up && misses < downAfterMisses, misses }
    }
  }
}
