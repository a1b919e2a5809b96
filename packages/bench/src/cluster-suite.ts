import type { ClusterRow } from './cluster/cluster-report.ts'
import { failureRows } from './cluster/failure.ts'
import { handoffRows } from './cluster/handoff.ts'
import { messageRows } from './cluster/messages.ts'
import { requestRows } from './cluster/requests.ts'

/** What it costs that a cluster is several processes: messages, moves of data, requests, and the death of a node. */
export async function clusterSuite(onRow: (row: ClusterRow) => void): Promise<void> {
  await messageRows(onRow)
  const { figure } = await handoffRows(onRow)
  await requestRows(onRow)
  await failureRows(1e6 * figure, onRow)
}
