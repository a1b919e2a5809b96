import { once } from 'node:events'
import { isAtollError, openNode } from '@atoll/store'
import { createService } from './service.ts'

const { PORT = '8080', HOST = '127.0.0.1', DATA = './data', BUCKET = 'photos' } = process.env

const node = await openNode({ path: DATA })
try {
  await node.objects.createBucket(BUCKET)
} catch (error) {
  if (!isAtollError(error, 'ATOLL_BUCKET_EXISTS')) throw error
}

const server = createService(node.objects, { onError: (error) => console.error(error) })
server.listen(Number(PORT), HOST)
await once(server, 'listening')
console.log(`listening on http://${HOST}:${PORT}/${BUCKET}`)

let isEnding = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (isEnding) return
    isEnding = true
    // Takes no more connections; requests under way finish, and then the node is closed.
    server.close(() => void node.close())
    server.closeIdleConnections()
  })
}
