export { DEFAULT_TCP_OPTIONS, type TcpOptions, type TlsFiles } from './options.ts'
export { TcpTransport, tcpTransport } from './tcp-transport.ts'
