import { assert } from '@atoll/core'
import {
  AT_ZERO,
  type Code,
  functionBody,
  get,
  I32,
  I32_ADD,
  I32_AND,
  I32_NOT,
  I32_OR,
  I32_ROTL,
  I32_XOR,
  i32,
  loadI32,
  loadVector,
  loop,
  moduleOf,
  set,
  storeI32,
  storeVector,
  tee,
  V_ADD,
  V_AND,
  V_ANDNOT,
  V_SHL,
  V_SHR_U,
  V_SHUFFLE,
  V_SUB,
  V_XOR,
  V128,
  vectorOf,
} from './wasm-code.ts'

/**
 * MD5 of several messages in step, as WebAssembly: R. Rivest, "The MD5 Message-Digest Algorithm", RFC 1321. Each of the 64
 * steps of a block needs the one before it, so that one message leaves most of a core idle. Messages do not need each
 * other: two are interleaved in scalar code, four have a lane each of a vector, and two vectors are interleaved for eight.
 */
export const MD5_KERNELS = [
  { name: 'one', lanes: 1 },
  { name: 'two', lanes: 2 },
  { name: 'four', lanes: 4 },
  { name: 'eight', lanes: 8 },
] as const

/**
 * Where a kernel finds what it works on, in the memory that it imports. For each lane: the address of its next block (4
 * bytes), and the four words of its state, the first words of all lanes before all second ones. The scratch space is the
 * kernel's own.
 */
export const MD5_LAYOUT = { lanes: 8, pointersAt: 0, stateAt: 64, scratchAt: 256, endsAt: 1024 } as const

export const MD5_BLOCK_BYTES = 64
/** The state before the first block (section 3.3). */
export const MD5_START = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476] as const

/** A module that imports a shared memory of so many pages of 64 KiB, and exports the kernels. */
export function md5Module(memoryPages: number): Uint8Array {
  const functions = MD5_KERNELS.map(({ name, lanes }) => ({ name, body: kernelBody(lanes) }))
  return moduleOf({ memoryPages, functions })
}

/** By round: the shifts, the word of the block that a step takes, and the constants of the steps (section 3.4). */
const SHIFTS = [
  [7, 12, 17, 22],
  [5, 9, 14, 20],
  [4, 11, 16, 23],
  [6, 10, 15, 21],
]
const WORD_OF_STEP = [
  (i: number) => i,
  (i: number) => (5 * i + 1) % 16,
  (i: number) => (3 * i + 5) % 16,
  (i: number) => (7 * i) % 16,
]
const SINES = range(64).map((i) => Math.floor(2 ** 32 * Math.abs(Math.sin(i + 1))) | 0)

/** Three words of the state, by the roles that they have in a step, as code that pushes them. */
interface Roles {
  readonly b: Code
  readonly c: Code
  readonly d: Code
}

/** What a chain of steps is made of: words of one message, or vectors of words of four. */
interface Words {
  readonly type: number
  readonly lanes: number
  readonly add: Code | number
  load(offset: number): Code
  store(offset: number): Code
  constant(step: number): Code
  /** Add the function of a round to the sum on the stack. `b` was computed last: what needs it comes late. */
  readonly rounds: readonly ((roles: Roles) => Code)[]
  /** The sum of a word, rotated, and another. */
  addRotated(local: number, bits: number, other: number): Code
}

const SCALAR: Words = {
  type: I32,
  lanes: 1,
  add: I32_ADD,
  load: loadI32,
  store: storeI32,
  constant: (step) => i32(SINES[step] ?? 0),
  rounds: [
    ({ b, c, d }) => [d, c, d, I32_XOR, b, I32_AND, I32_XOR, I32_ADD],
    // The halves of G have no bit in common: they may be added, and the first one does not wait for b.
    ({ b, c, d }) => [d, I32_NOT, c, I32_AND, I32_ADD, b, d, I32_AND, I32_ADD],
    ({ b, c, d }) => [c, d, I32_XOR, b, I32_XOR, I32_ADD],
    ({ b, c, d }) => [d, I32_NOT, b, I32_OR, c, I32_XOR, I32_ADD],
  ],
  addRotated: (local, bits, other) => [get(local), i32(bits), I32_ROTL, get(other), I32_ADD],
}

const HALVES_SWAPPED: Code = range(16).map((byte) => byte ^ 2)

const VECTOR: Words = {
  type: V128,
  lanes: 4,
  add: V_ADD,
  load: loadVector,
  store: storeVector,
  constant: (step) => vectorOf((SINES[step] ?? 0) - (step < 48 ? 0 : 1)),
  rounds: [
    ({ b, c, d }) => [d, c, d, V_XOR, b, V_AND, V_XOR, V_ADD],
    ({ b, c, d }) => [c, d, V_ANDNOT, V_ADD, b, d, V_AND, V_ADD],
    ({ b, c, d }) => [c, d, V_XOR, b, V_XOR, V_ADD],
    // I is the complement of c ^ (d & ~b). To add ~x is to subtract x and 1; the 1 is in the constant.
    ({ b, c, d }) => [d, b, V_ANDNOT, c, V_XOR, V_SUB],
  ],
  // The two parts of a rotated word have no bit in common: they may be added. By 16 bits, halves of words change places.
  addRotated: (local, bits, other) =>
    bits === 16
      ? [get(local), get(local), V_SHUFFLE, HALVES_SWAPPED, get(other), V_ADD]
      : [
          [get(local), i32(bits), V_SHL, get(other), V_ADD],
          [get(local), i32(32 - bits), V_SHR_U, V_ADD],
        ],
}

/**
 * The variables of a kernel: its parameter, a pointer for each lane, five words for each chain (a, b, c, d, sum), eight
 * more words.
 */
interface Kernel {
  readonly words: Words
  readonly chains: readonly number[]
  pointer(lane: number): number
  word(chain: number, word: number): number
  spare(n: number): number
}

const BLOCKS = 0
const SUM = 4
const SPARE = 8

function kernelOf(lanes: number): Kernel {
  const words = lanes < VECTOR.lanes ? SCALAR : VECTOR
  const chains = range(lanes / words.lanes)
  return {
    words,
    chains,
    pointer: (lane) => 1 + lane,
    word: (chain, word) => 1 + lanes + 5 * chain + word,
    spare: (n) => 1 + lanes + 5 * chains.length + n,
  }
}

/** A function of the number of blocks, 1 or more, that each lane has from its pointer on. It moves the states on. */
function kernelBody(lanes: number): Code {
  const kernel = kernelOf(lanes)
  const { words, chains, pointer } = kernel
  const eachLane = (code: (lane: number) => Code) => range(lanes).map(code)
  const eachWord = (code: (local: number, offset: number) => Code) =>
    chains.map((chain) =>
      range(4).map((word) => code(kernel.word(chain, word), stateOffset(word, chain * words.lanes))),
    )
  const block = [
    words === VECTOR ? transposition(kernel) : [],
    range(64).map((step) => stepOf(kernel, step)),
    eachWord((local, offset) => [
      [AT_ZERO, words.load(offset), get(local), words.add, set(local)],
      [AT_ZERO, get(local), words.store(offset)],
    ]),
    eachLane((lane) => [get(pointer(lane)), i32(MD5_BLOCK_BYTES), I32_ADD, set(pointer(lane))]),
  ]
  return functionBody(
    [
      { count: lanes, type: I32 },
      { count: 5 * chains.length + SPARE, type: words.type },
    ],
    [
      eachLane((lane) => [AT_ZERO, loadI32(MD5_LAYOUT.pointersAt + 4 * lane), set(pointer(lane))]),
      eachWord((local, offset) => [AT_ZERO, words.load(offset), set(local)]),
      loop(block, [get(BLOCKS), i32(-1), I32_ADD, tee(BLOCKS)]),
    ],
  )
}

function stateOffset(word: number, lane: number): number {
  return MD5_LAYOUT.stateAt + 4 * (word * MD5_LAYOUT.lanes + lane)
}

/** One step of all chains: a = b + rotate(a + function(b, c, d) + word of the block + constant). */
function stepOf({ words, chains, pointer, word }: Kernel, step: number): Code {
  const round = step >> 4
  const [shifts, wordOf, addFunction] = [SHIFTS[round], WORD_OF_STEP[round], words.rounds[round]]
  const bits = shifts?.[step % 4]
  assert(wordOf !== undefined && addFunction !== undefined && bits !== undefined, 'there are four rounds')
  const index = wordOf(step % 16)
  // The roles move on with each step, so that no word has to.
  const local = (chain: number, role: number) => word(chain, (role - (step % 4) + 4) % 4)
  const ofBlock = (chain: number) =>
    words === VECTOR
      ? [AT_ZERO, loadVector(scratchOffset(chain, index))]
      : [get(pointer(chain)), loadI32(4 * index)]
  const sumOf = (chain: number) => {
    const roles = { b: get(local(chain, 1)), c: get(local(chain, 2)), d: get(local(chain, 3)) }
    const early = [get(local(chain, 0)), ofBlock(chain), words.add, words.constant(step), words.add]
    return [early, addFunction(roles), set(word(chain, SUM))]
  }
  const resultOf = (chain: number) => [
    words.addRotated(word(chain, SUM), bits, local(chain, 1)),
    set(local(chain, 0)),
  ]
  return [chains.map(sumOf), chains.map(resultOf)]
}

function scratchOffset(chain: number, word: number): number {
  return MD5_LAYOUT.scratchAt + 16 * (16 * chain + word)
}

/** Brings the blocks of four lanes, each with its words one behind the other, into vectors of one word of each lane. */
function transposition({ chains, pointer, spare }: Kernel): Code {
  const pick = (first: number, words: readonly number[]) => [
    [get(spare(first)), get(spare(first + 1)), V_SHUFFLE],
    words.map((word) => range(4).map((byte) => 4 * word + byte)),
  ]
  const ofQuarter = (chain: number, quarter: number) => {
    const store = (word: number, value: Code) => [
      [AT_ZERO, value, storeVector(scratchOffset(chain, 4 * quarter + word))],
    ]
    return [
      range(4).map((lane) => [get(pointer(4 * chain + lane)), loadVector(16 * quarter), set(spare(lane))]),
      // Words 0 and 1 of lanes 0 and 1, and of lanes 2 and 3; then words 2 and 3 of them.
      [pick(0, [0, 4, 1, 5]), set(spare(4)), pick(2, [0, 4, 1, 5]), set(spare(5))],
      [pick(0, [2, 6, 3, 7]), set(spare(6)), pick(2, [2, 6, 3, 7]), set(spare(7))],
      [store(0, pick(4, [0, 1, 4, 5])), store(1, pick(4, [2, 3, 6, 7]))],
      [store(2, pick(6, [0, 1, 4, 5])), store(3, pick(6, [2, 3, 6, 7]))],
    ]
  }
  return chains.map((chain) => range(4).map((quarter) => ofQuarter(chain, quarter)))
}

function range(length: number): readonly number[] {
  return Array.from({ length }, (_, n) => n)
}
