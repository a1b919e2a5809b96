import type { ClusterRow } from './cluster/cluster-report.ts'
import { failureRows } from './cluster/failure.ts'
import { handoffRows } from './cluster/handoff.ts'
import { messageRows } from './cluster/messages.ts'
import { requestRows } from './cluster/requests.ts'
import type { PartOptions } from './parts.ts'

type Part = (onRow: (row: ClusterRow) => void, options: Pick<PartOptions, 'packages'>) => Promise<void>

/** What it costs that a cluster is several processes: messages, requests, and then moves of data and the death of a node. */
export const clusterParts: readonly Part[] = [
  (onRow, { packages }) => messageRows(packages, onRow),
  (onRow, { packages }) => requestRows(packages, onRow),
  async (onRow, { packages }) => {
    const { figure } = await handoffRows(packages, onRow)
    await failureRows({ packages, bytesPerSecond: 1e6 * figure }, onRow)
  },
]
