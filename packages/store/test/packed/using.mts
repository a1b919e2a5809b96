import { openNode } from '@atoll/store'

await using node = await openNode()
await node.objects.createBucket('letters')
await node.objects.put('letters', 'key', 'Dear reader,')
