import type { KeyId } from '@atoll/core'

/**
 * The key-value store under the objects. A coordinator fits it as it is; `LevelKvStore` is one over a plain
 * abstract-level database. Types used: see `KV_TYPES`, which says what each must be created with.
 */
export interface KvStore {
  get(id: KeyId, options?: KvGetOptions): Promise<KvRead>
  put(id: KeyId, write: KvWrite, options?: { readonly signal?: AbortSignal | undefined }): Promise<unknown>
  delete(
    id: KeyId,
    options?: { readonly signal?: AbortSignal | undefined; readonly context?: Uint8Array | undefined },
  ): Promise<unknown>
  scan(scan: KvScan, options?: { readonly signal?: AbortSignal | undefined }): Promise<KvScanPage>
}

export interface KvGetOptions {
  readonly signal?: AbortSignal | undefined
  /** For blocks: whether a replica's value is the right one; one that is refused is healed from another. */
  readonly accept?: ((value: KvValue) => boolean) | undefined
}

export interface KvValue {
  readonly value: Uint8Array
  readonly valueCrc32: number
}

export interface KvRead {
  /** No value: absent. Several: written concurrently. */
  readonly values: readonly KvValue[]
  readonly context: Uint8Array | undefined
}

export interface KvWrite {
  readonly value: Uint8Array
  readonly valueCrc32?: number | undefined
  readonly indexes?: readonly KvIndexEntry[] | undefined
  readonly context?: Uint8Array | undefined
}

export interface KvIndexEntry {
  readonly index: string
  readonly scope: Uint8Array
  readonly term: Uint8Array
  readonly payload: Uint8Array
}

export interface KvScan {
  readonly type: string
  readonly index: string
  readonly scope: Uint8Array
  /** Terms from this one on, inclusive. */
  readonly from?: Uint8Array | undefined
  /** Terms before this one. */
  readonly to?: Uint8Array | undefined
  /** `next` of the page before. */
  readonly after?: Uint8Array | undefined
  readonly limit?: number
}

export interface KvScanPage {
  readonly entries: readonly {
    readonly term: Uint8Array
    readonly bucket: Uint8Array
    readonly key: Uint8Array
    readonly payloads: readonly Uint8Array[]
  }[]
  readonly next: Uint8Array | undefined
}
