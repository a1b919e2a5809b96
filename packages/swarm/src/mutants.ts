import { AsyncLocalStorage } from 'node:async_hooks'
import type { StoredRecord } from '@atoll/causality'
import type { BucketProperties, CoordinatedWrite, Replicas } from '@atoll/coordinator'
import { equalBytes, type Runtime, toHex, utf8, wallTimeOf } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import { BLOCKS_TYPE, MANIFESTS_TYPE } from '@atoll/objects'
import type { Connection, Frame, MemoryNetwork } from '@atoll/transport'
import type { Database, Derivation, VnodeHost } from '@atoll/vnode'
import { movedHead, olderHeadKey } from './older-rows.ts'
import { SETS_TYPE } from './scene.ts'

/** What a put carries was coordinated before, or is a block that is said to be new; by that repairs are told apart. */
export function withoutRepairs(replicas: Replicas): Replicas {
  const coordinated = new WeakSet<object>()
  return {
    ...passing(replicas),
    coordinate: async (target, id, write, { onDecided, ...options }) => {
      const decided = (record: StoredRecord) => {
        coordinated.add(record)
        onDecided?.(record)
      }
      const heard = onDecided === undefined ? options : { ...options, onDecided: decided }
      const reply = await replicas.coordinate(target, id, write, heard)
      coordinated.add(reply.record)
      return reply
    },
    put: (target, id, record, options) => {
      const isRepair = id.type === BLOCKS_TYPE ? options.isFresh !== true : !coordinated.has(record)
      return isRepair ? Promise.resolve({ changed: false }) : replicas.put(target, id, record, options)
    },
  }
}

/** Manifests that show nothing any more keep the entry in the index that they had. */
export function staleIndexes(): (replicas: Replicas) => Replicas {
  const listed = new Map<string, CoordinatedWrite['content']['indexes']>()
  return (replicas) => ({
    ...passing(replicas),
    coordinate: (target, id, write, options) => {
      if (id.type !== MANIFESTS_TYPE) return replicas.coordinate(target, id, write, options)
      const { content } = write
      const entries = content.indexes.filter(({ index }) => index === 'list')
      if (entries.length > 0) listed.set(toHex(id.key), entries)
      const stale = entries.length > 0 ? [] : (listed.get(toHex(id.key)) ?? [])
      const indexes = [...content.indexes, ...stale]
      return replicas.coordinate(target, id, { ...write, content: { ...content, indexes } }, options)
    },
  })
}

/** Whoever puts without looking first never learns that there was something. */
export function seeingNobody(replicas: Replicas): Replicas {
  return {
    ...passing(replicas),
    coordinate: (target, id, { ifAlone: _, ...write }, options) =>
      replicas.coordinate(target, id, write, options),
    put: async (target, id, record, options) => ({
      ...(await replicas.put(target, id, record, options)),
      alone: options.tellAlone,
    }),
  }
}

type Types = Readonly<Record<string, Partial<BucketProperties>>>

export function lastSiblingWins(types: Types): Types {
  return { ...types, [SETS_TYPE]: { ...types[SETS_TYPE], policy: { kind: 'last-write-wins' } } }
}

const inVnode = new AsyncLocalStorage<boolean>()

/** While a vnode of such a host coordinates, `forgetfulRuntime` names it. */
export function namingByNode(host: VnodeHost): void {
  const coordinate = host.coordinate.bind(host)
  host.coordinate = (...request) => inVnode.run(true, () => coordinate(...request))
}

/** The vnodes of a node are one actor in all its lives, whatever became of its disk. */
export function forgetfulRuntime(runtime: Runtime, node: string): Runtime {
  const { random } = runtime
  const name = runtime.digest.sha1(utf8(node)).slice(0, ACTOR_BYTES)
  const isActor = (length: number) => inVnode.getStore() === true && length === ACTOR_BYTES
  return {
    ...runtime,
    random: {
      below: (limit) => random.below(limit),
      bytes: (length) => (isActor(length) ? name : random.bytes(length)),
    },
  }
}

const ACTOR_BYTES = 8

/** Says that a batch is on disk when it has hardly begun, and never syncs. */
export function hastyDatabase(database: Database): Database {
  return {
    get status() {
      return database.status
    },
    get supports() {
      return database.supports
    },
    open: () => database.open(),
    close: () => database.close(),
    keyEncoding: (name) => database.keyEncoding(name),
    get: (...request) => database.get(...request),
    iterator: (options) => database.iterator(options),
    keys: (options) => database.keys(options),
    clear: (options) => database.clear(options),
    snapshot: () => database.snapshot(),
    batch: (operations, options) => {
      database.batch(operations, { ...options, sync: false }).catch(() => {})
      return Promise.resolve()
    },
  }
}

/** Says that a write after a failed one is as safe as any other, so that nothing stands before it. */
export function withoutFence(database: Database): Database {
  return Object.defineProperty(database, 'safeAfterFailedWrite', { value: true })
}

/** A small put that comes while another one of its key is being written here takes the answer of that for its own. */
export function answeringWhoeverComes({ objects }: AtollNode): void {
  const put = objects.put.bind(objects)
  const underWay = new Map<string, ReturnType<typeof put>>()
  objects.put = (bucket, key, ...rest) => {
    const name = JSON.stringify([bucket, key])
    const other = underWay.get(name)
    if (other !== undefined) return other
    const writing = put(bucket, key, ...rest)
    underWay.set(name, writing)
    const over = () => underWay.delete(name)
    writing.then(over, over)
    return writing
  }
}

const ACCEPTOR_KEY = '!cluster!acceptor'

/** Says that a vote is on disk, and does not write it: a node that restarts has promised nothing to anybody. */
export function withoutVotes(database: Database): Database {
  const batch = database.batch.bind(database)
  return Object.assign(database, {
    batch: async (...[operations, options]: Parameters<Database['batch']>) => {
      const kept = operations.filter(({ key }) => Buffer.from(key).toString('latin1') !== ACCEPTOR_KEY)
      if (kept.length > 0) await batch(kept, options)
    },
  })
}

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const

/**
 * A conversion goes by what it has read of a record before it was its turn: what was written meanwhile, and has taken the
 * place of what a build before had left, is written over with that.
 */
export function forgettingWhatIsWritten(database: Database): Database {
  const batch = database.batch.bind(database)
  return Object.assign(database, {
    batch: async (...[operations, options]: Parameters<Database['batch']>) => {
      const late: { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }[] = []
      for (const { type, key } of operations) {
        const older = type === 'put' ? olderHeadKey(key) : undefined
        const isConverted =
          older && operations.some((other) => other.type === 'del' && equalBytes(other.key, older))
        const value = isConverted ? await database.get(older, VIEW) : undefined
        if (older !== undefined && value !== undefined)
          late.push({ type: 'put', ...movedHead({ key: older, value }, key) })
      }
      await batch(operations, options)
      if (late.length > 0) await batch(late, options)
    },
  })
}

/** Whoever offers records is told that they are all here. */
export function claimingAll(host: VnodeHost): void {
  const handoffOf = host.handoffOf.bind(host)
  host.handoffOf = (partition) => Object.assign(handoffOf(partition), { holds: async () => true })
}

/** A removal writes nothing besides: what is counted of the record stays. */
export function deletingBare(host: VnodeHost): void {
  const derivations = host.derivations.map(
    (derivation): Derivation =>
      (change, ...rest) => {
        if (change.after !== undefined) derivation(change, ...rest)
      },
  )
  Object.assign(host, { derivations })
}

/** Whoever is told what another replica missed says that it is noted. */
export function withoutHints({ hints }: VnodeHost): void {
  hints.note = () => []
}

/** Who stands in for others is not told for whom. */
export function standingInForNobody(replicas: Replicas): Replicas {
  return {
    ...passing(replicas),
    put: (target, id, record, { hintFor, ...options }) =>
      replicas.put(target, id, record, target.role === 'fallback' ? options : { ...options, hintFor }),
    coordinate: (target, id, { hintFor, ...write }, options) =>
      replicas.coordinate(target, id, target.role === 'fallback' ? write : { ...write, hintFor }, options),
    hint: async (target, ...rest) => {
      if (target.role !== 'fallback') await replicas.hint(target, ...rest)
    },
  }
}

/** Every vnode goes on as the actor that its database says, whatever became of that database. */
export function goingOnAlways(host: VnodeHost): void {
  Object.assign(host, { lineage: () => ({ name: 'always', continues: true }), renewActors: () => {} })
}

/** After a batch that failed the vnodes go on as who they were, though others may know what was in it. */
export function goingOnAfterFailures(host: VnodeHost): void {
  Object.assign(host, { renewActors: () => {} })
}

const GENERATION_KEY = '!cluster!generation'

/** What is noted of the lives of the data is not in the directory, so that a copy which is put back has the newest note. */
export function livesKeptElsewhere(): (node: string, database: Database) => Database {
  const notes = new Map<string, Uint8Array>()
  const isNote = (key: Uint8Array) => Buffer.from(key).toString('latin1') === GENERATION_KEY
  return (node, database) => {
    const batch = database.batch.bind(database)
    const get = database.get.bind(database)
    return Object.assign(database, {
      batch: async (...[operations, options]: Parameters<Database['batch']>) => {
        await batch(operations, options)
        for (const operation of operations)
          if (operation.type === 'put' && isNote(operation.key)) notes.set(node, operation.value)
      },
      get: async (...[key, options]: Parameters<Database['get']>) => {
        const stored = await get(key, options)
        return stored !== undefined && isNote(key) ? (notes.get(node) ?? stored) : stored
      },
    })
  }
}

/** A partition that was handed over is served here as before. */
export function neverSealed({ gates }: VnodeHost): void {
  const get = gates.get.bind(gates)
  gates.get = (partition) => {
    const gate = get(partition)
    return gate?.phase === 'sealed' ? { ...gate, phase: 'copying' } : gate
  }
}

/** Of what a peer says of itself, nothing that tells it from another one of its name arrives. */
export function withoutIdentities(network: MemoryNetwork): MemoryNetwork {
  const transport = network.transport.bind(network)
  const mute = (connection: Connection) => {
    const send = connection.send.bind(connection)
    return Object.assign(connection, {
      send: (frame: Frame) => send({ ...frame, head: withoutIdentity(frame.head) }),
    })
  }
  network.transport = (address) => {
    const { listen, connect } = transport(address)
    return {
      listen: (at, onConnection) => listen(at, (connection) => onConnection(mute(connection))),
      connect: async (...to) => mute(await connect(...to)),
    }
  }
  return network
}

/** Capabilities of one name are changed into others of that length, which nobody knows. */
function withoutIdentity(head: Uint8Array): Uint8Array {
  const text = Buffer.from(head).toString('latin1')
  return text.includes('id.') ? Buffer.from(text.replaceAll('id.', 'no.'), 'latin1') : head
}

/** A write on condition that nothing changed is written in any case, and says that nothing has. */
export function unguarded({ kv: { inner } }: AtollNode): void {
  const put = inner.put.bind(inner)
  inner.put = async (id, { ifUnchanged, ...write }, options) => {
    const written = await put(id, write, options)
    return ifUnchanged === undefined ? written : { ...written, alone: true }
  }
}

/** A collection goes by the wall clock of its node, whatever those of the others say. */
export function trustingItsClock({ objects, runtime }: AtollNode): void {
  const collect = objects.collect.bind(objects)
  objects.collect = (options) => collect({ now: wallTimeOf(runtime.clock), ...options })
}

export function passing(replicas: Replicas): Replicas {
  return {
    get: (...request) => replicas.get(...request),
    put: (...request) => replicas.put(...request),
    coordinate: (...request) => replicas.coordinate(...request),
    hint: (...request) => replicas.hint(...request),
    scan: (...request) => replicas.scan(...request),
  }
}
