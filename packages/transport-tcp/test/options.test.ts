import { describe, expect, test } from 'vitest'
import { formatAddress, parseAddress } from '../src/address.ts'
import { DEFAULT_TCP_OPTIONS, type TcpOptions, tcpTransport } from '../src/index.ts'
import { createRuntime, SECRET } from './world.ts'

describe('options', () => {
  const create = (options: Record<string, unknown>) => () =>
    tcpTransport(createRuntime().runtime, {
      node: 'n1',
      cluster: 'reef',
      secret: SECRET,
      ...options,
    } as TcpOptions)

  test('may all be left out but names and a secret', () => {
    expect(create({})).not.toThrow()
    expect(create({ secret: Buffer.alloc(16) })).not.toThrow()
    expect(create(DEFAULT_TCP_OPTIONS)).not.toThrow()
  })

  test.each<[Record<string, unknown>, RegExp]>([
    [{ holdProcess: 'no' }, /holdProcess must be true or false, got "no"/],
    [{ secret: undefined }, /secret or tls must be given/],
    [{ secret: 'too short' }, /at least 16 bytes, got 9/],
    [{ secret: 7 }, /a text or bytes/],
    [{ node: 'n 1' }, /node must be 1 to 64/],
    [{ cluster: '' }, /cluster must be 1 to 64/],
    [{ keepAliveMs: 1.5 }, /keepAliveMs/],
    [{ keepAliveMs: 6000 }, /keepAliveTimeoutMs must be at least keepAliveMs \(6000\), got 5000/],
    [{ maxBodyBytes: 0 }, /maxBodyBytes/],
    [{ maxConnections: '7' }, /maxConnections/],
    [{ highWater: 7 }, /no option "highWater"/],
    [{ tls: 'on' }, /tls must be/],
    [{ tls: { key: '', cert: '' } }, /tls.ca must be a PEM text or its bytes, got nothing/],
    [{ tls: { key: 1, cert: '', ca: '' } }, /tls.key must be a PEM text or its bytes, got number/],
    [{ tls: { keyFile: 'a', certFile: 'b' } }, /tls.caFile must be a string, got undefined/],
    [{ tls: { keyFile: 'a', certFile: 'b', caFile: 'c', key: '' } }, /no option "key"/],
    [{ maxPartialBytes: 1024 }, /maxPartialBytes must be at least .* together \(9437184\), got 1024/],
    [{ tls: { key: '', cert: '', ca: '', pfx: '' } }, /no option "pfx"/],
  ])('%j are refused by name', (options, message) => {
    expect(create(options)).toThrow(message)
    expect(create(options)).not.toThrow(/a secret of the reef/)
  })
})

describe('an address', () => {
  test.each(['127.0.0.1:7400', 'n1.example:1', '[::1]:0', '[fe80::1]:65535'])(
    '%s is read and written',
    (address) => {
      expect(formatAddress(parseAddress(address))).toBe(address)
    },
  )

  test.each(['', 'n1', ':7400', 'n1:', 'n1:65536', '::1:7400', 'n1:74 00', 'n 1:7400', 'n1:123456'])(
    '"%s" is none',
    (address) => {
      expect(() => parseAddress(address)).toThrow(RangeError)
    },
  )
})
