import { X509Certificate } from 'node:crypto'
import { tcp } from '@atoll/transport-tcp'
import { expect, test } from 'vitest'
import { Authority } from '../src/certificates.ts'

const listen = '127.0.0.1:0'

test('certificates are for one node of one cluster, and of the authority that is told', async () => {
  const authority = await Authority.create('reef')
  const tls = await authority.issue('n1')
  const certificate = new X509Certificate(tls.cert)
  expect(certificate.subjectAltName).toBe('URI:atoll://reef/n1')
  expect(certificate.verify(new X509Certificate(authority.ca).publicKey)).toBe(true)
  expect(tcp({ cluster: 'reef', listen, tls }).clusterName).toBe('reef')
  const refused = /one node, by a URI such as atoll:\/\/shoal\/n1, alone, got URI:atoll:\/\/reef\/n1$/
  expect(() => tcp({ cluster: 'shoal', listen, tls })).toThrow(refused)
})

test('certificates of one authority differ in number and key', async () => {
  const authority = await Authority.create('reef')
  const both = [await authority.issue('n1'), await authority.issue('n1')]
  expect(new Set(both.map(({ cert }) => new X509Certificate(cert).serialNumber)).size).toBe(2)
  expect(new Set(both.map(({ key }) => key)).size).toBe(2)
})
