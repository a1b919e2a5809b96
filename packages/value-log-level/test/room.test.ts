import { GiB, MiB } from '@atoll/core'
import { expect, test } from 'vitest'
import { nodeRuntime } from '../src/index.ts'
import { Room } from '../src/room.ts'

const SPARE = 72 * MiB

/** A disk that counts how often it is asked, under a clock that stands still. */
function roomOn(freeBytes: number) {
  const disk = { freeBytes, asked: 0 }
  const files = {
    freeBytes: async () => {
      disk.asked += 1
      return disk.freeBytes
    },
  }
  const { clock, log } = nodeRuntime()
  return { disk, room: new Room({ clock: { ...clock, monotonicMs: () => 0 }, log }, files, SPARE) }
}

async function write(room: Room, bytes: number): Promise<void> {
  for (let written = 0; written < bytes; written += MiB) {
    room.wrote(MiB)
    await new Promise(setImmediate)
  }
}

test('a disk with much room is asked seldom, one that gets full after every 4 MiB', async () => {
  const { disk, room } = roomOn(64 * GiB)
  await room.look()
  await write(room, 500 * MiB)
  expect(disk.asked).toBe(1)
  disk.freeBytes = SPARE + 20 * MiB
  await write(room, 1000 * MiB)
  const before = disk.asked
  await write(room, 50 * MiB)
  expect(disk.asked).toBe(before + 10)
  expect(room.isEnough()).toBe(true)
})

test('whatever room there was, it is found out in time that none is left', async () => {
  for (const freeBytes of [SPARE, SPARE + 3 * MiB, 200 * MiB, 3 * GiB, 20 * GiB]) {
    const { disk, room } = roomOn(freeBytes)
    await room.look()
    while (room.isEnough()) {
      disk.freeBytes -= MiB
      await write(room, MiB)
    }
    expect(disk.freeBytes).toBeGreaterThan(SPARE - 6 * MiB)
  }
})
