/** The polynomial of CRC-32 (ISO-HDLC), bits reversed, as zlib has it: the highest power of x is the lowest bit. */
const POLYNOMIAL = 0xedb88320
const ONE = 0x8000_0000
const X = 0x4000_0000

/** The polynomial is primitive: x to this power is one, so that every power of x has an inverse. */
const ORDER = 2 ** 32 - 1

/** x to the powers of two: entry n is x^(2^n) modulo the polynomial. */
const POWERS = powersOfTwo()

/**
 * The CRC-32 of two stretches of bytes, one behind the other, from the CRC-32 of each: no byte is read again. So too, since
 * this is its own inverse: with the sum of both for `second` it is the sum of the second alone. Takes about a microsecond
 * (Mark Adler's method in zlib: multiplication by x^(8n) modulo the polynomial).
 */
export function combineCrc32(first: number, second: number, secondBytes: number): number {
  return (multiply(powerOfX(8 * secondBytes), first) ^ second) >>> 0
}

/** The CRC-32 of the first of two stretches, from the sum of both and that of the second: what `combineCrc32` has joined. */
export function leadingCrc32(both: number, second: number, secondBytes: number): number {
  return multiply(powerOfX(ORDER - 8 * secondBytes), both ^ second)
}

function powersOfTwo(): readonly number[] {
  const powers = [X]
  for (let n = 1; n < 56; n++) {
    const last = powers[n - 1] ?? ONE
    powers.push(multiply(last, last))
  }
  return powers
}

/** Beyond 32 bits, so divided and not shifted. */
function powerOfX(exponent: number): number {
  let power = ONE
  for (let rest = exponent, n = 0; rest > 0; rest = Math.floor(rest / 2), n++) {
    if (rest % 2 === 1) power = multiply(POWERS[n] ?? ONE, power)
  }
  return power
}

function multiply(a: number, b: number): number {
  let product = 0
  for (let bit = ONE, factor = b; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= factor
    factor = (factor & 1) === 0 ? factor >>> 1 : (factor >>> 1) ^ POLYNOMIAL
  }
  return product >>> 0
}
