import { readFileSync, statSync } from 'node:fs'
import { messageOf, type Runtime, wrongRange, wrongType } from '@atoll/core'
import { type Credentials, checkValidity, loadCredentials } from './certificates.ts'
import { type NodeUri, nodeUri } from './node-uri.ts'
import { checkTlsOptions, type TlsFiles, type TlsOptions, type TlsPaths } from './options.ts'

/** Between two looks at files, in milliseconds. By time and not by events: those miss files that are links to others. */
const LOOK_MS = 5000

/** The certificates of one node of a cluster, which may be renewed while they are in use. */
export class CertificateStore {
  readonly names: NodeUri
  readonly #followers = new Set<(credentials: Credentials) => void>()
  readonly #paths: TlsPaths | undefined
  /** What the files were like when they were last taken, and when they were last refused. */
  #taken = ''
  #refused = ''
  #current: Credentials

  /** Throws `TypeError` or `RangeError` for certificates that cannot be used. */
  constructor(options: TlsOptions, cluster: string) {
    const { source, uri } = checkTlsOptions(options)
    this.names = nodeUri(uri, cluster)
    if ('keyFile' in source) {
      this.#paths = source
      this.#taken = stampOf(source)
    }
    this.#current = loadCredentials('keyFile' in source ? read(source) : source, { names: this.names })
  }

  get current(): Credentials {
    return this.#current
  }

  /** Throws `RangeError` unless the certificates are those of `node`. */
  checkNode(node: string): void {
    if (node !== this.#current.node) {
      const wanted = this.names.of(node)
      const got = `${this.#current.node} (this node is called "${node}": see the option name)`
      throw wrongRange('tls.cert', `must be for ${wanted} alone, got one for ${got}`)
    }
  }

  /**
   * Changes the certificates for whoever follows. Throws `TypeError` or `RangeError`, also for one that is not valid at
   * `nowMs`, and then changes nothing.
   */
  replace(files: TlsFiles, nowMs: number): void {
    const credentials = loadCredentials(files, { names: this.names, node: this.#current.node })
    checkValidity(credentials, nowMs)
    this.#current = credentials
    for (const follow of this.#followers) follow(credentials)
  }

  /** Calls `follow` with new certificates, until the function that is returned is called. */
  follow(follow: (credentials: Credentials) => void): () => void {
    this.#followers.add(follow)
    return () => this.#followers.delete(follow)
  }

  /**
   * Takes what changes in the files, until the function that is returned is called. What cannot be used is logged, and
   * not taken.
   */
  watch(runtime: Runtime): () => void {
    const { clock, log } = runtime
    const { node } = this.#current
    try {
      checkValidity(this.#current, clock.wallMs())
    } catch (error) {
      log.error({ node, err: error }, 'no other node accepts the certificate of this one')
    }
    const paths = this.#paths
    if (paths === undefined) return () => {}
    const look = () => {
      timer = clock.timer(LOOK_MS, look, { background: true })
      this.#renew(paths, runtime)
    }
    let timer = clock.timer(LOOK_MS, look, { background: true })
    return () => timer.cancel()
  }

  /** What is not taken is tried again: files are written one after the other, and a certificate may be valid only soon. */
  #renew(paths: TlsPaths, { clock, log }: Runtime): void {
    const { node } = this.#current
    let stamp = ''
    try {
      stamp = stampOf(paths)
      if (stamp === this.#taken) return
      this.replace(read(paths), clock.wallMs())
      this.#taken = stamp
      log.info({ node }, 'the certificates were renewed')
    } catch (error) {
      if (stamp !== this.#refused)
        log.error({ node, err: error }, 'the certificates in the files are not taken')
      this.#refused = stamp
    }
  }
}

function read({ keyFile, certFile, caFile }: TlsPaths): TlsFiles {
  return {
    key: readOne('keyFile', keyFile),
    cert: readOne('certFile', certFile),
    ca: readOne('caFile', caFile),
  }
}

function readOne(name: string, path: string): Uint8Array {
  try {
    return readFileSync(path)
  } catch (error) {
    throw wrongType(`tls.${name}`, `cannot be read: ${messageOf(error)}`)
  }
}

/** Differs when any of the files has changed; a file that is missing is one that will change. */
function stampOf({ keyFile, certFile, caFile }: TlsPaths): string {
  return [keyFile, certFile, caFile]
    .map((path) => {
      const stat = statSync(path, { throwIfNoEntry: false })
      return stat === undefined ? '' : `${stat.ino}.${stat.size}.${stat.mtimeMs}`
    })
    .join()
}
