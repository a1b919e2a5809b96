import { expect, test } from 'vitest'
import { FilePool } from '../src/file-pool.ts'
import { held } from './held.ts'
import { SimDisk } from './sim-disk.ts'

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
