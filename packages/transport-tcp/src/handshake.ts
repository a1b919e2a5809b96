import { AtollError, describe, equalBytes, isName, messageOf } from '@atoll/core'
import { NONCE_BYTES, prove, proves, type Role, type Transcript } from './proof.ts'
import {
  CHALLENGE,
  type Challenge,
  type Claim,
  decodeGreeting,
  encodeGreeting,
  type Greeting,
  HELLO,
  type Hello,
  type Party,
  PROOF,
  TCP_VERSIONS,
  WELCOME,
} from './protocol.ts'
import { because } from './refusal.ts'

export interface HandshakeParts {
  readonly own: Party
  /** Random bytes of this conversation. */
  readonly nonce: Uint8Array
  readonly secret: Uint8Array | undefined
  /** The name in the other side's certificate, with TLS. */
  readonly certified: string | undefined
  /** The last word on whoever has proven its name; throws to refuse it. */
  readonly admit: (peer: Party) => void
}

export interface Progress {
  /** What to answer. */
  readonly reply?: Uint8Array
  /** The other side, once everything is proven. */
  readonly peer?: Party
}

/**
 * The conversation before all others, as two step machines: hello and challenge bring a version and a nonce of each
 * side, proof and welcome a name of each side, with proof of the secret if there is one. The caller proves first, so
 * that a stranger learns nothing. Both throw an `AtollError` when the other side is to be refused.
 */
export class ClientHandshake {
  readonly #parts: HandshakeParts
  #transcript: Transcript | undefined

  constructor(parts: HandshakeParts) {
    this.#parts = parts
  }

  /** The caller's first words. */
  hello(): Uint8Array {
    const { min: minVersion, max: maxVersion } = TCP_VERSIONS
    return encodeGreeting({ kind: HELLO, minVersion, maxVersion, nonce: this.#parts.nonce })
  }

  step(bytes: Uint8Array): Progress {
    const greeting = read(bytes)
    if (this.#transcript === undefined) return { reply: this.#onChallenge(expect(greeting, CHALLENGE)) }
    const { own, admit } = this.#parts
    const welcome = expect(greeting, WELCOME)
    checkProof(this.#parts, 'server', { ...this.#transcript, claim: welcome })
    const doubled = welcome.node === own.node && !equalBytes(welcome.instance, own.instance)
    if (doubled) throw because('name', `another process has the name ${own.node} of this node`)
    admit(welcome)
    return { peer: welcome }
  }

  #onChallenge({ version, nonce: serverNonce }: Challenge): Uint8Array {
    if (version < TCP_VERSIONS.min || version > TCP_VERSIONS.max) {
      throw because('version', `the peer chose version ${version}, which was not offered`)
    }
    checkNonce(serverNonce)
    const { own, nonce: clientNonce, secret } = this.#parts
    this.#transcript = { version, clientNonce, serverNonce }
    const mac = prove(secret, 'client', { ...this.#transcript, party: own })
    return encodeGreeting({ ...own, kind: PROOF, mac })
  }
}

export class ServerHandshake {
  readonly #parts: HandshakeParts
  #transcript: Transcript | undefined

  constructor(parts: HandshakeParts) {
    this.#parts = parts
  }

  step(bytes: Uint8Array): Progress {
    const greeting = read(bytes)
    if (this.#transcript === undefined) return { reply: this.#onHello(expect(greeting, HELLO)) }
    const { own, secret, admit } = this.#parts
    const proof = expect(greeting, PROOF)
    checkProof(this.#parts, 'client', { ...this.#transcript, claim: proof })
    const doubled = proof.node === own.node && !equalBytes(proof.instance, own.instance)
    if (doubled) throw because('name', `the name ${own.node} is taken by the node that was called`)
    admit(proof)
    const mac = prove(secret, 'server', { ...this.#transcript, party: own })
    return { reply: encodeGreeting({ ...own, kind: WELCOME, mac }), peer: proof }
  }

  #onHello({ minVersion, maxVersion, nonce: clientNonce }: Hello): Uint8Array {
    const version = Math.min(maxVersion, TCP_VERSIONS.max)
    if (version < minVersion || version < TCP_VERSIONS.min) {
      const [theirs, ours] = [`${minVersion}-${maxVersion}`, `${TCP_VERSIONS.min}-${TCP_VERSIONS.max}`]
      throw because('version', `the caller speaks versions ${theirs}, this node speaks ${ours}`)
    }
    checkNonce(clientNonce)
    const serverNonce = this.#parts.nonce
    this.#transcript = { version, clientNonce, serverNonce }
    return encodeGreeting({ kind: CHALLENGE, version, nonce: serverNonce })
  }
}

/** The secret first: of what a stranger says, nothing is looked at. */
function checkProof(parts: HandshakeParts, role: Role, said: Transcript & { readonly claim: Claim }): void {
  const { own, secret, certified } = parts
  const { claim } = said
  if (secret !== undefined && !proves(claim.mac, prove(secret, role, { ...said, party: claim }))) {
    throw because('secret', `the ${role} does not know the secret of this cluster`)
  }
  for (const name of [claim.cluster, claim.node])
    if (!isName(name))
      throw because('malformed', `the ${role} calls itself ${describe(name)}, which is no name`)
  if (claim.cluster !== own.cluster)
    throw because('cluster', `the ${role} belongs to cluster ${claim.cluster}, and not to this one`)
  if (certified !== undefined && certified !== claim.node) {
    throw because(
      'certificate',
      `the ${role} has the certificate of ${certified} and calls itself ${claim.node}`,
    )
  }
}

function checkNonce(nonce: Uint8Array): void {
  if (nonce.length !== NONCE_BYTES)
    throw because('malformed', `a nonce has ${NONCE_BYTES} bytes, not ${nonce.length}`)
}

function expect<K extends Greeting['kind']>(greeting: Greeting, kind: K): Extract<Greeting, { kind: K }> {
  if (isKind(greeting, kind)) return greeting
  throw because('malformed', `a greeting of kind ${greeting.kind} is out of place`)
}

function isKind<K extends Greeting['kind']>(
  greeting: Greeting,
  kind: K,
): greeting is Extract<Greeting, { kind: K }> {
  return greeting.kind === kind
}

function read(bytes: Uint8Array): Greeting {
  try {
    return decodeGreeting(bytes)
  } catch (error) {
    if (!(error instanceof AtollError)) throw error
    throw because('malformed', messageOf(error), { cause: error })
  }
}
