export {
  DEFAULT_TCP_OPTIONS,
  type Pem,
  type TcpFactoryOptions,
  type TcpOptions,
  type TlsFiles,
  type TlsNaming,
  type TlsOptions,
  type TlsPaths,
} from './options.ts'
export { TcpFactory, tcp } from './tcp-factory.ts'
export { TcpTransport, tcpTransport } from './tcp-transport.ts'
