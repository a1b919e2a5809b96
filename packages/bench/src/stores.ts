import { nodeFiles, nodeRuntime, ValueLogLevel } from '@atoll/value-log-level'
import { ClassicLevel } from 'classic-level'
import { open as openLmdb } from 'lmdb'
import { MemoryLevel } from 'memory-level'

/** What the storage suite asks of a store. A put is done when it is durable, as far as the store can be. */
export interface Store {
  put(key: Uint8Array, value: Uint8Array): Promise<unknown>
  get(key: Uint8Array): Promise<Uint8Array | undefined>
  close(): Promise<unknown>
}

export interface StoreKind {
  readonly name: string
  /** Opens an empty store; a store that can makes ready `touchedBytes` of space that were written before. */
  open(path: string, touchedBytes: number): Promise<Store>
}

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const

export const VALUE_LOG: StoreKind = {
  name: 'value-log-level',
  open: async (path, touchedBytes) => {
    const inner = new ClassicLevel<Uint8Array, Uint8Array>(`${path}-index`, VIEW)
    const valueLog = { preallocateBytes: touchedBytes, reserveBytes: touchedBytes }
    const parts = { inner, files: nodeFiles(path) }
    const store = new ValueLogLevel<Uint8Array, Uint8Array>(nodeRuntime(), parts, { ...VIEW, valueLog })
    await store.open()
    return { ...syncing(store), get: (key) => store.get(key) }
  },
}

export const CLASSIC_LEVEL: StoreKind = {
  name: 'classic-level',
  open: async (path) => {
    const store = new ClassicLevel<Uint8Array, Uint8Array>(path, VIEW)
    await store.open()
    return { ...syncing(store), get: (key) => store.get(key) }
  },
}

export const STORES: readonly StoreKind[] = [
  VALUE_LOG,
  CLASSIC_LEVEL,
  {
    name: 'memory-level',
    open: async () => {
      const store = new MemoryLevel<Uint8Array, Uint8Array>({ ...VIEW, storeEncoding: 'view' })
      await store.open()
      return { ...syncing(store), get: (key) => store.get(key) }
    },
  },
  {
    name: 'lmdb',
    open: async (path) => {
      const store = openLmdb<Uint8Array, Uint8Array>({ path, encoding: 'binary', keyEncoding: 'binary' })
      return {
        put: async (key, value) => {
          await store.put(key, value)
          await store.flushed
        },
        get: (key) => Promise.resolve(store.get(key)),
        close: () => store.close(),
      }
    },
  },
]

interface Syncing {
  put(key: Uint8Array, value: Uint8Array, options: object): Promise<void>
  close(): Promise<void>
}

/** With the encodings, although they are the defaults: without them abstract-level copies the options at each call. */
const SYNC: object = { ...VIEW, sync: true }

function syncing(store: Syncing): Pick<Store, 'put' | 'close'> {
  return { put: (key, value) => store.put(key, value, SYNC), close: () => store.close() }
}
