import { utf8 } from '@atoll/core'
import { expect, test } from 'vitest'
import { islands, keyId, keyOn } from './islands.ts'

test('everyone is told by which epoch it is asked, and as what', async () => {
  const setting = await islands()
  const { world, coordinator, replicas, down, reshape } = setting
  const id = keyOn(setting, ['n1', 'n2', 'n3'])
  const block = keyOn(setting, ['n1', 'n2', 'n3'], 'once')
  const scan = { type: 'default', index: 'list', scope: utf8('s') }
  await world.run(async () => {
    await coordinator.put(id, { value: utf8('a') })
    expect(replicas.calls.every(({ epoch, role }) => epoch === 1 && role === 'primary')).toBe(true)
    reshape(['n1', 'n2', 'n3', 'n4', 'n5', 'n6'])
    down.add('n2')
    replicas.calls.length = 0
    for (const key of [id, block]) {
      await coordinator.put(key, { value: utf8('b') })
      await coordinator.get(key)
    }
    await coordinator.get(keyId('nowhere', 'once'))
    await coordinator.scan(scan)
    await coordinator.idle()
    expect(new Set(replicas.calls.map(({ operation }) => operation)).size).toBe(4)
    for (const { operation, epoch, node, role, partition } of replicas.calls) {
      expect(epoch).toBe(2)
      if (operation === 'scan') continue
      const owner = `n${((partition ?? 0) % 6) + 1}`
      expect(role).toBe(node === owner ? 'primary' : 'fallback')
    }
  })
})
