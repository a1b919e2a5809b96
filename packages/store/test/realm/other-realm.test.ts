import { createReadStream } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { openNode, tcp } from '@atoll/store'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../../../transport-tcp/test/world.ts'

/** Runs in a context of `node:vm`, as the tests of jest do, and those of vitest with `vmThreads` and `vmForks`. */
describe('in a context of node:vm', () => {
  let directory = ''

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'atoll-realm-'))
  })

  afterEach(() => rm(directory, { recursive: true, force: true }))

  it('the errors of files are of another realm', async () => {
    const error: unknown = await readFile(join(directory, 'none')).catch((cause: unknown) => cause)
    expect(error).toHaveProperty('code', 'ENOENT')
    expect(error instanceof Error).toBe(false)
  })

  it('a node on a new directory stores objects, and has them when it is opened again', async () => {
    const path = join(directory, 'new', 'data')
    const file = join(directory, 'file')
    await writeFile(file, Buffer.alloc(3_000_000, 7))
    const node = await openNode({ path })
    await node.objects.createBucket('letters')
    await node.objects.put('letters', 'bytes', Buffer.from('hello'))
    await node.objects.put('letters', 'file', createReadStream(file))
    await node.objects.put('letters', 'blob', new Blob(['Dear reader']).stream())
    await expect(
      node.objects.put('letters', 'none', createReadStream(join(directory, 'none'))),
    ).rejects.toThrow(expect.objectContaining({ code: 'ATOLL_INCOMPLETE_BODY' }))
    await expect(openNode({ path })).rejects.toThrow(expect.objectContaining({ code: 'ATOLL_LOCKED' }))
    await node.close()

    const again = await openNode({ path })
    const sizes = (await again.objects.list('letters')).objects.map(({ key, size }) => `${key} ${size}`)
    expect(sizes).toEqual(['blob 11', 'bytes 5', 'file 3000000'])
    let bytes = 0
    for await (const chunk of (await again.objects.get('letters', 'file')).body) bytes += chunk.length
    expect(bytes).toBe(3_000_000)
    await again.close()
  })

  it('bytes of another realm are bytes: as a body, as chunks of one, and in records', async () => {
    const foreign = runInNewContext('new Uint8Array([1, 2, 3])')
    expect(foreign instanceof Uint8Array).toBe(false)
    const node = await openNode()
    await node.objects.createBucket('letters')
    await node.objects.put('letters', 'whole', foreign)
    await node.objects.put('letters', 'chunks', [foreign, foreign])
    const { objects } = await node.objects.list('letters')
    expect(objects.map(({ key, size }) => `${key} ${size}`)).toEqual(['chunks 6', 'whole 3'])
    const id = { type: 'default', bucket: foreign, key: foreign }
    await node.kv.put(id, { value: foreign })
    expect((await node.kv.get(id)).values.map(({ value }) => [...value])).toEqual([[1, 2, 3]])
    await node.close()
  })

  it('a promise of another realm that a logger answers is heard when it is rejected', async () => {
    const rejected: () => Promise<never> = runInNewContext("() => Promise.reject(new Error('no log'))")
    const log = { debug: rejected, info: rejected, warn: rejected, error: rejected }
    const node = await openNode({ log })
    await node.close()
    expect(node.metrics.text()).toContain('atoll_port_failures_total{port="log"}')
  })

  it('a node on TCP knows that an address is in use', async () => {
    const listen = `127.0.0.1:${await freePort()}`
    const options = { cluster: 'reef', listen, secret: 'a secret of the house', holdProcess: false }
    const node = await openNode({ name: 'n1', transport: tcp(options), begin: 'n1' })
    await expect(openNode({ name: 'n2', transport: tcp(options), begin: 'n2' })).rejects.toThrow(
      expect.objectContaining({ code: 'ATOLL_LOCKED' }),
    )
    await node.close()
  })
})
