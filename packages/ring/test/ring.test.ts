import { readFileSync } from 'node:fs'
import { encodeTuple, fromHex, isAtollError, toHex } from '@atoll/core'
import { createRing, decodeRing, encodeRing, type RingOptions } from '@atoll/ring'
import { describe, expect, it } from 'vitest'

const owners = ['a', 'b', 'c', 'a', 'b', 'c', 'd', 'b']
const zones = new Map([
  ['d', 'west'],
  ['a', 'east'],
  ['spare', 'west'],
])
const ring = createRing({ partitions: 8, owners, zones })

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (isAtollError(error)) return error.code
    throw error
  }
  return 'none'
}

describe('a ring', () => {
  it('is a copy of what it was made from', () => {
    const mine = [...owners]
    const myZones = new Map(zones)
    const made = createRing({ partitions: 8, owners: mine, zones: myZones })
    mine[0] = 'x'
    myZones.clear()
    expect(made.owners).toEqual(owners)
    expect(made.zones).toEqual(zones)
    expect(Object.isFrozen(made.owners)).toBe(true)
  })

  it('has no zones by default', () => {
    expect(createRing({ partitions: 8, owners }).zones.size).toBe(0)
  })

  it.each<[string, object, string]>([
    ['partitions', { partitions: 12 }, 'partitions must be a power of two, got 12'],
    ['too few partitions', { partitions: 4 }, 'partitions must be an integer from 8 to 1024, got 4'],
    ['too many partitions', { partitions: 2048 }, 'got 2048'],
    ['text for partitions', { partitions: '8' }, 'partitions must be a number'],
    ['too few owners', { owners: ['a'] }, 'one name per partition (8), got 1'],
    ['no owners', { owners: undefined }, 'owners must be an array'],
    ['an empty name', { owners: ['', ...owners.slice(1)] }, 'owners must be 1 to 64 characters'],
    ['a name with a space', { owners: ['a b', ...owners.slice(1)] }, 'got "a b"'],
    ['a zone that is no name', { zones: new Map([['a', 'east side']]) }, 'zone must be 1 to 64 characters'],
    ['zones as an object', { zones: { a: 'east' } }, 'zones must be a Map'],
    ['a misspelt option', { zone: zones }, 'no option "zone"'],
  ])('refuses %s', (_, change, message) => {
    const options: RingOptions = { partitions: 8, owners, zones, ...change }
    expect(() => createRing(options)).toThrow(message)
  })
})

describe('the bytes of a ring', () => {
  it('open again', () => {
    expect(decodeRing(encodeRing(ring))).toEqual(ring)
  })

  it('are the same for equal rings', () => {
    const again = createRing({ partitions: 8, owners, zones: new Map([...zones].reverse()) })
    expect(toHex(encodeRing(again))).toBe(toHex(encodeRing(ring)))
  })

  it('of version 1 open', () => {
    const golden = readFileSync(new URL('golden/ring-v1.hex', import.meta.url), 'utf8').trim()
    expect(decodeRing(fromHex(golden))).toEqual(ring)
    expect(toHex(encodeRing(ring))).toBe(golden)
  })

  it('stay small: 1024 partitions of 200 nodes with long names', () => {
    const names = Array.from({ length: 200 }, (_, at) => `${'n'.repeat(60)}.${at}`)
    const large = createRing({
      partitions: 1024,
      owners: Array.from({ length: 1024 }, (_, p) => names[p % 200]!),
    })
    expect(encodeRing(large).length).toBeLessThan(200 * 66 + 1024 * 2 + 50)
    expect(decodeRing(encodeRing(large))).toEqual(large)
  })

  it.each([
    ['nothing', new Uint8Array(0)],
    ['no tuple', Uint8Array.of(1, 0xc1)],
    ['an owner that is not listed', encodeTuple(1, [8, ['a'], [0, 0, 0, 0, 0, 0, 0, 1], []])],
    ['too few owners', encodeTuple(1, [8, ['a'], [0], []])],
    ['a size that no ring has', encodeTuple(1, [9, ['a'], [0, 0, 0, 0, 0, 0, 0, 0, 0], []])],
    ['a field too many', encodeTuple(1, [8, ['a'], [0, 0, 0, 0, 0, 0, 0, 0], [], 1])],
    ['a zone of three', encodeTuple(1, [8, ['a'], [0, 0, 0, 0, 0, 0, 0, 0], [['a', 'b', 'c']]])],
  ])('are refused: %s', (_, bytes) => {
    expect(codeOf(() => decodeRing(bytes))).toBe('ATOLL_CORRUPT')
  })

  it('of a newer version are refused as such', () => {
    expect(codeOf(() => decodeRing(encodeTuple(2, [])))).toBe('ATOLL_FORMAT')
  })
})
