import { Committer, type CommitterParts } from './committer.ts'
import { Holdings } from './holdings.ts'
import { KeyOrder } from './key-order.ts'
import type { VnodeHostOptions } from './options.ts'
import { Sheets } from './sheets.ts'
import type { VnodeParts } from './vnode.ts'

type Made = 'committer' | 'order' | 'recordBytes' | 'inlineBytes' | 'sheets' | 'holdings'
type Told = Pick<CommitterParts, 'counters' | 'reload' | 'onDone' | 'onFailed'>

export interface SharedMeans extends Omit<VnodeParts, Made>, Told {
  readonly options: Required<VnodeHostOptions>
}

/** What all vnodes of a host share: their order of writes, and the way to the disk. */
export function sharedParts({
  options,
  counters,
  reload,
  onDone,
  onFailed,
  ...means
}: SharedMeans): VnodeParts {
  const { clock, metrics, probe } = means.runtime
  const order = new KeyOrder(options.keyWrites, (key) => means.digests.forget(key))
  const failed = (cause: unknown) => {
    probe.mark('vnode.batch-failed')
    order.dropPending()
    // A database that has failed may be opened again without what it was believed to have.
    means.digests.clear()
    onFailed(cause)
  }
  const holdings = new Holdings()
  const reloaded = async () => {
    await reload()
    // What was seen since the failure may have been that of a database which was opened again since.
    holdings.clear()
    means.digests.clear()
  }
  const told = { counters, reload: reloaded, onDone, onFailed: failed }
  const committer = new Committer({ database: means.database, clock, metrics, ...told }, options)
  const { recordBytes, inlineBytes } = options
  const sheets = means.database.batchBytes === undefined ? undefined : new Sheets()
  return { ...means, committer, order, recordBytes, inlineBytes, sheets, holdings }
}
