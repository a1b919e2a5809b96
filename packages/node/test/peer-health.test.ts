import { expect, test } from 'vitest'
import { HEALTHY, type PeerEvent, stepPeer } from '../src/peer-health.ts'

function after(...events: PeerEvent[]) {
  return events.reduce((health, event) => stepPeer(health, event, 3), HEALTHY)
}

test('a peer is up until it misses three heartbeats in a row', () => {
  expect(after('missed', 'missed').up).toBe(true)
  expect(after('missed', 'missed', 'missed').up).toBe(false)
  expect(after('missed', 'missed', 'answered', 'missed', 'missed').up).toBe(true)
})

test('a broken connection is proof enough', () => {
  expect(after('disconnected').up).toBe(false)
  expect(after('disconnected', 'missed').up).toBe(false)
})

test('one answer makes it up again', () => {
  expect(after('missed', 'missed', 'missed', 'missed', 'answered')).toEqual(HEALTHY)
  expect(after('disconnected', 'answered')).toEqual(HEALTHY)
})
