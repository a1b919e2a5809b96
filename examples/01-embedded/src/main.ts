import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openNode } from '@atoll/store'

const path = await mkdtemp(join(tmpdir(), 'atoll-embedded-'))
{
  await using node = await openNode({ path })
  await node.objects.createBucket('letters')
  await node.objects.put('letters', '1961/01.txt', 'Dear reader,', { contentType: 'text/plain' })
}
{
  await using node = await openNode({ path }) // everything is on disk: open the directory again
  const { body, size, etag } = await node.objects.get('letters', '1961/01.txt')
  for await (const chunk of body)
    console.log(new TextDecoder().decode(chunk), `(${size} bytes, etag ${etag})`)
  const { objects } = await node.objects.list('letters', { prefix: '1961/' })
  console.log(objects.map(({ key }) => key))
}
await rm(path, { recursive: true })
