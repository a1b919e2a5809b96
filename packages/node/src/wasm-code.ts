/**
 * Bytes of a WebAssembly module, nested as they come. Opcodes are those of the WebAssembly specification 2.0, section
 * 5.4, and `V_…` those of its vectors.
 */
export type Code = readonly (number | Code)[]

export const I32 = 0x7f
export const V128 = 0x7b
/** Pushes the address to which a load or a store adds its offset. */
export const AT_ZERO: Code = i32(0)
export const [I32_ADD, I32_AND, I32_OR, I32_XOR, I32_ROTL] = [0x6a, 0x71, 0x72, 0x73, 0x77] as const
export const I32_NOT: Code = [i32(-1), I32_XOR]
export const V_SHUFFLE: Code = vector(13)
export const [V_AND, V_ANDNOT, V_XOR] = [vector(78), vector(79), vector(81)] as const
export const [V_SHL, V_SHR_U, V_ADD, V_SUB] = [vector(171), vector(173), vector(174), vector(177)] as const

export function get(local: number): Code {
  return [0x20, unsigned(local)]
}

export function set(local: number): Code {
  return [0x21, unsigned(local)]
}

export function tee(local: number): Code {
  return [0x22, unsigned(local)]
}

export function i32(value: number): Code {
  return [0x41, signed(value)]
}

export function loadI32(offset: number): Code {
  return [0x28, 2, unsigned(offset)]
}

export function storeI32(offset: number): Code {
  return [0x36, 2, unsigned(offset)]
}

export function loadVector(offset: number): Code {
  return [vector(0), 0, unsigned(offset)]
}

export function storeVector(offset: number): Code {
  return [vector(11), 0, unsigned(offset)]
}

/** Four times the same word. */
export function vectorOf(word: number): Code {
  const bytes = [word & 0xff, (word >>> 8) & 0xff, (word >>> 16) & 0xff, word >>> 24]
  return [vector(12), bytes, bytes, bytes, bytes]
}

/** Runs `body`, and again as long as what `whether` pushes is not zero. */
export function loop(body: Code, whether: Code): Code {
  return [0x03, 0x40, body, whether, 0x0d, 0, 0x0b]
}

/** The body of a function, with so many variables of each type after its parameters. */
export function functionBody(variables: readonly { count: number; type: number }[], code: Code): Code {
  const declared = variables.map(({ count, type }) => [unsigned(count), type])
  return sized([counted(declared), code, 0x0b])
}

export interface ModuleParts {
  /** Imported as `memory.shared`. */
  readonly memoryPages: number
  /** Functions of one i32, without a result. */
  readonly functions: readonly { readonly name: string; readonly body: Code }[]
}

export function moduleOf({ memoryPages, functions }: ModuleParts): Uint8Array {
  const memory = [text('memory'), text('shared'), 2, 3, unsigned(memoryPages), unsigned(memoryPages)]
  const names = functions.map(({ name }, index) => [text(name), 0, index])
  const bodies = functions.map(({ body }) => body)
  const module = [
    [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // the magic number, and the version
    section(1, [[0x60, 1, I32, 0]]), // types
    section(2, [memory]), // imports
    section(3, Array<Code>(functions.length).fill([0])), // functions, by their types
    section(7, names), // exports
    section(10, bodies),
  ]
  return new Uint8Array(flat(module))
}

function section(id: number, items: readonly Code[]): Code {
  return [id, sized(counted(items))]
}

function counted(items: readonly Code[]): Code {
  return [unsigned(items.length), items]
}

function sized(code: Code): Code {
  const bytes = flat(code)
  return [unsigned(bytes.length), bytes]
}

function flat(code: Code, into: number[] = []): number[] {
  for (const item of code) {
    if (typeof item === 'number') into.push(item)
    else flat(item, into)
  }
  return into
}

function vector(opcode: number): Code {
  return [0xfd, unsigned(opcode)]
}

function text(name: string): Code {
  return sized([...name].map((letter) => letter.charCodeAt(0)))
}

/** LEB128: seven bits to a byte, the lowest first. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, unsigned(value >>> 7)]
}

function signed(value: number): Code {
  const [low, rest] = [value & 0x7f, value >> 7]
  return rest === (low & 0x40 ? -1 : 0) ? [low] : [low | 0x80, signed(rest)]
}
