import type { Runtime } from '@atoll/core'
import type { Blocks } from './blocks.ts'
import type { Buckets } from './buckets.ts'
import type { ManifestRecords } from './manifest-records.ts'
import type { ObjectStoreSettings } from './options.ts'
import type { Slots } from './slots.ts'
import type { Traffic } from './traffic.ts'

/** What every part of the object layer works with. */
export interface Layer {
  readonly runtime: Runtime
  readonly settings: ObjectStoreSettings
  readonly traffic: Traffic
  readonly buckets: Buckets
  readonly manifests: ManifestRecords
  readonly blocks: Blocks
  /** For blocks on their way to the replicas, over all uploads. */
  readonly writeSlots: Slots
  /** For blocks read before they are needed, over all downloads. */
  readonly readSlots: Slots
}
