import { expect, test } from 'vitest'
import { FilePool } from '../src/file-pool.ts'
import { nodeRuntime, ValueLogLevel } from '../src/index.ts'
import { held } from './held.ts'
import { SimDisk } from './sim-disk.ts'
import { SMALL_LOG } from './workload.ts'

test('a file that could not be opened is opened anew by the next who uses it, however many others are open', async () => {
  const disk = new SimDisk()
  const pool = new FilePool(disk.files(), 1)
  const read = (slot: number) => pool.use(slot, (file) => file.read(new Uint8Array(1), 0))
  await read(0)
  const reader = held()
  const reading = pool.use(1, reader.hold)
  await reader.reached
  const noMoreFiles = Object.assign(new Error('EMFILE'), { code: 'EMFILE' })
  disk.fault = (_, op) => (op === 'open' ? noMoreFiles : undefined)
  await expect(read(2)).rejects.toMatchObject({ code: 'EMFILE' })
  disk.fault = () => undefined
  expect(await read(2)).toBe(0)
  reader.letGo()
  await reading
  await pool.closeAll()
})

test('an index is closed, and lets go of its lock, though a file of the log cannot be closed', async () => {
  const disk = new SimDisk()
  const files = disk.files()
  const closing = { isBroken: true }
  const open = async (name: string) => {
    const file = await files.open(name)
    const close = () => (closing.isBroken ? Promise.reject(new Error('EIO')) : Promise.resolve())
    return Object.assign(file, { close })
  }
  const inner = disk.inner()
  const parts = { inner, files: { ...files, open } }
  const db = new ValueLogLevel(nodeRuntime(), parts, { valueEncoding: 'view', valueLog: SMALL_LOG })
  await db.put('k', Buffer.alloc(1000, 1), { sync: true })
  await expect(db.close()).rejects.toMatchObject({ cause: { message: 'EIO' } })
  expect(inner.status).toBe('closed')
  closing.isBroken = false
  await db.close()
  await db.open()
  expect(await db.get('k')).toEqual(Buffer.alloc(1000, 1))
  await db.close()
})
