/** One metric that Atoll counts. */
export interface MetricEntry {
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** One sentence. Units stand last in the name: `_bytes`, `_ms`; counters end with `_total`. */
  readonly help: string
  /** The labels with their values; `code` is one of `ERROR_CODES`, and `method` the name of a call between nodes. */
  readonly labels?: Readonly<Record<string, readonly string[] | 'code' | 'method'>>
}

/** Why TCP connections end or are refused. */
const REASONS = [
  'certificate',
  'cluster',
  'keep-alive',
  'limit',
  'malformed',
  'name',
  'queue',
  'replaced',
  'reset',
  'secret',
  'timeout',
  'tls',
  'told',
  'too-large',
  'version',
] as const

/** Every metric of every package. A test holds the code and the operating guide against this list. */
export const METRICS = {
  atoll_coordinator_deletes_total: {
    type: 'counter',
    help: 'Deletions of key-value records that were begun.',
  },
  atoll_coordinator_digest_mismatches_total: {
    type: 'counter',
    help: 'Replicas that were asked for their record since its digest is of none that another one has sent.',
  },
  atoll_coordinator_hedges_total: {
    type: 'counter',
    help: 'Reads of blocks for which a second replica was asked before the first had answered.',
  },
  atoll_coordinator_hints_lost_total: {
    type: 'counter',
    help: 'Notes that a replica missed a write which no other one could be told to make: reads repair that.',
  },
  atoll_coordinator_read_ms: {
    type: 'histogram',
    help: 'How long reads of key-value records took, in milliseconds.',
  },
  atoll_coordinator_read_spares_total: {
    type: 'counter',
    help: 'Reads in which one more replica was asked because another one failed.',
  },
  atoll_coordinator_reads_total: { type: 'counter', help: 'Reads of key-value records that were begun.' },
  atoll_coordinator_repair_failures_total: {
    type: 'counter',
    help: 'Read repairs that a replica did not take.',
  },
  atoll_coordinator_repairs_skipped_total: {
    type: 'counter',
    help: 'Read repairs that were left out because too many were in flight.',
  },
  atoll_coordinator_repairs_total: {
    type: 'counter',
    help: 'Read repairs: writes of the newest version to a replica that lacked it.',
  },
  atoll_coordinator_scan_reads_total: {
    type: 'counter',
    help: 'Records that a scan of an index read again because replicas differed.',
  },
  atoll_coordinator_scans_total: { type: 'counter', help: 'Scans of an index that were begun.' },
  atoll_coordinator_unmet_total: {
    type: 'counter',
    help: 'Requests that ended without the quorum that they asked for.',
    labels: { kind: ['read', 'write', 'scan'] },
  },
  atoll_coordinator_write_failures_total: { type: 'counter', help: 'Writes that one replica did not take.' },
  atoll_coordinator_write_ms: {
    type: 'histogram',
    help: 'How long writes of key-value records took, in milliseconds.',
  },
  atoll_coordinator_writes_total: { type: 'counter', help: 'Writes of key-value records that were begun.' },
  atoll_gossip_calls_dropped_total: {
    type: 'counter',
    help: 'Calls of gossip that were left out because too many were in flight.',
  },
  atoll_gossip_documents_total: {
    type: 'counter',
    help: 'Attempts to get a newer cluster document from another node.',
    labels: { outcome: ['learned', 'known', 'unreachable', 'refused'] },
  },
  atoll_gossip_false_alarms_total: {
    type: 'counter',
    help: 'Nodes that were called dead and turned out to be alive.',
  },
  atoll_gossip_members: {
    type: 'gauge',
    help: 'Members by what this node believes of them.',
    labels: { status: ['alive', 'suspect', 'dead'] },
  },
  atoll_gossip_probes_total: {
    type: 'counter',
    help: 'Probes of other nodes by their outcome.',
    labels: { outcome: ['answered', 'indirect', 'failed', 'discarded', 'knocked'] },
  },
  atoll_gossip_refutations_total: {
    type: 'counter',
    help: 'Times that this node told others that it is alive after all.',
  },
  atoll_gossip_stalls_total: {
    type: 'counter',
    help: 'Times that this process stood still for longer than the failure detector allows.',
  },
  atoll_gossip_transitions_total: {
    type: 'counter',
    help: 'Changes of what this node believes of another one.',
    labels: { to: ['alive', 'suspect', 'dead'] },
  },
  atoll_handoff_bytes_total: {
    type: 'counter',
    help: 'Bytes of records that handoffs moved.',
    labels: { kind: ['transfer', 'give-back', 'refill'], direction: ['in', 'out'] },
  },
  atoll_handoff_failures_total: {
    type: 'counter',
    help: 'Handoffs that failed; they are tried again.',
    labels: { code: 'code' },
  },
  atoll_handoff_pause_ms: {
    type: 'histogram',
    help: 'How long a partition took no writes while it was handed over, in milliseconds.',
  },
  atoll_handoff_records_total: {
    type: 'counter',
    help: 'Records that handoffs moved.',
    labels: { kind: ['transfer', 'give-back', 'refill'], direction: ['in', 'out'] },
  },
  atoll_level_kv_corrupt_records_total: {
    type: 'counter',
    help: 'Damaged records of a single-database key-value store.',
  },
  atoll_membership_conflicts_total: {
    type: 'counter',
    help: 'Pairs of different cluster documents of one epoch. Must stay 0.',
  },
  atoll_membership_epoch: { type: 'gauge', help: 'Epoch of the newest cluster document that this node has.' },
  atoll_membership_forced_total: {
    type: 'counter',
    help: 'Changes of the cluster that were forced on this node.',
  },
  atoll_membership_refused_total: {
    type: 'counter',
    help: 'Cluster documents that were refused, as those of another cluster.',
  },
  atoll_node_catching_up_from: {
    type: 'gauge',
    help: 'Members that this node still has to hear while it catches up after its data was restored from a copy.',
  },
  atoll_node_data_work_failures_total: {
    type: 'counter',
    help: 'Moves and copies of partitions in the background that failed; they are tried again.',
    labels: { code: 'code' },
  },
  atoll_node_restored_total: {
    type: 'counter',
    help: 'Times that the data of this node was found to be an older copy.',
  },
  atoll_node_strangers_refused_total: {
    type: 'counter',
    help: 'Calls by nodes that are no members, which were refused.',
  },
  atoll_objects_blocks_collected_total: {
    type: 'counter',
    help: 'Blocks of removed versions that were deleted.',
  },
  atoll_objects_blocks_lost_total: {
    type: 'counter',
    help: 'Blocks of which no replica had good bytes. Must stay 0.',
  },
  atoll_objects_future_marks_total: {
    type: 'counter',
    help: 'Records of objects in which a collection found times that the clocks of the cluster have not reached, and put them right.',
  },
  atoll_objects_get_bytes_total: { type: 'counter', help: 'Bytes of objects that were handed to readers.' },
  atoll_objects_put_bytes_total: { type: 'counter', help: 'Bytes of objects whose put was acknowledged.' },
  atoll_objects_uploads_refused_total: {
    type: 'counter',
    help: 'Uploads that ended after others had decided that nothing became of them.',
  },
  atoll_port_failures_total: {
    type: 'counter',
    help: 'Calls of something that the user gave, such as a log or a listener, that threw.',
    labels: { port: ['listener', 'log', 'merge', 'metrics', 'onProgress', 'onReleased', 'probe'] },
  },
  atoll_rpc_held_total: {
    type: 'counter',
    help: 'Requests of other nodes that waited because too many answers were on their way to whoever asked.',
  },
  atoll_rpc_overloaded_total: {
    type: 'counter',
    help: 'Requests of other nodes that were refused because a limit was reached, and answers that were not sent for it.',
    labels: { what: ['answer', 'handlers', 'queue', 'streams'] },
  },
  atoll_rpc_refused_total: {
    type: 'counter',
    help: 'Connections between nodes that were refused.',
    labels: { code: 'code' },
  },
  atoll_rpc_unreached_total: {
    type: 'counter',
    help: 'Connections to other nodes that could not be made.',
    labels: { code: 'code' },
  },
  atoll_tcp_connections_total: {
    type: 'counter',
    help: 'TCP connections whose handshake succeeded.',
    labels: { role: ['client', 'server'] },
  },
  atoll_tcp_lost_total: { type: 'counter', help: 'TCP connections that broke.', labels: { reason: REASONS } },
  atoll_tcp_received_bytes_total: { type: 'counter', help: 'Bytes that came by TCP, without those of TLS.' },
  atoll_tcp_refused_total: {
    type: 'counter',
    help: 'TCP connections that were refused in the handshake.',
    labels: { reason: REASONS },
  },
  atoll_tcp_sent_bytes_total: { type: 'counter', help: 'Bytes that went by TCP, without those of TLS.' },
  atoll_tcp_writes_total: {
    type: 'counter',
    help: 'Writes to sockets; each carries as many messages as were waiting.',
  },
  atoll_value_log_checkpoints_total: { type: 'counter', help: 'Checkpoints of the value log.' },
  atoll_value_log_compacted_bytes_total: {
    type: 'counter',
    help: 'Bytes of live values that compaction moved.',
  },
  atoll_value_log_compacted_segments_total: { type: 'counter', help: 'Segments that compaction emptied.' },
  atoll_value_log_dead_bytes: {
    type: 'gauge',
    help: 'Bytes that were written to the log and that nothing uses any more, about.',
  },
  atoll_value_log_free_bytes: {
    type: 'gauge',
    help: 'Bytes of segment files that are free to be written.',
  },
  atoll_value_log_index_compactions_total: {
    type: 'counter',
    help: 'Times that all keys of the index were compacted, because half of it had been deleted.',
  },
  atoll_value_log_live_bytes: { type: 'gauge', help: 'Bytes of values in the log that are in use.' },
  atoll_value_log_recovered_records_total: {
    type: 'counter',
    help: 'Records that opening took from the end of the log.',
  },
  atoll_value_log_reopened_total: {
    type: 'counter',
    help: 'Times that the log was opened anew after the disk had failed it.',
  },
  atoll_vnode_batch_bytes: {
    type: 'histogram',
    help: 'Bytes of a batch of the database, of which all becomes durable together.',
  },
  atoll_vnode_batch_failures_total: {
    type: 'counter',
    help: 'Batches that the database below did not take.',
  },
  atoll_vnode_batch_ms: { type: 'histogram', help: 'How long a batch took to be durable, in milliseconds.' },
  atoll_vnode_batch_writes: {
    type: 'histogram',
    help: 'Writes of a batch of the database, which become durable together.',
  },
  atoll_vnode_clock_entries: {
    type: 'gauge',
    help: 'Entries of the largest clock of a record that this node has written since it was opened: one for each life of a vnode that wrote it.',
  },
  atoll_vnode_converted_records_total: {
    type: 'counter',
    help: 'Records of an earlier format that were stored as this build stores them.',
  },
  atoll_vnode_corrupt_index_entries_total: {
    type: 'counter',
    help: 'Damaged index entries that were found on the disk.',
  },
  atoll_vnode_corrupt_notes_total: {
    type: 'counter',
    help: 'Damaged notes of handoffs that were found on the disk.',
  },
  atoll_vnode_corrupt_records_total: {
    type: 'counter',
    help: 'Damaged records that were found on the disk.',
  },
  atoll_vnode_counting_partitions: {
    type: 'gauge',
    help: 'Partitions of which the records are still being counted: they are missing in atoll_vnode_records, _record_bytes and _tombstones.',
  },
  atoll_vnode_dots_given_twice_total: {
    type: 'counter',
    help: 'Merges of records that had other writes under one dot: an older copy of some data was written to.',
  },
  atoll_vnode_forwards_total: {
    type: 'counter',
    help: 'Requests that were passed on to the node that holds the partition now.',
    labels: { method: 'method' },
  },
  atoll_vnode_hinted_keys: {
    type: 'gauge',
    help: 'Records that this node has noted for others because they missed them, and that it gives them when they are back.',
  },
  atoll_vnode_hinted_partitions: {
    type: 'gauge',
    help: 'Partitions that this node owes to another one as a whole, because that missed more than is noted by key.',
  },
  atoll_vnode_hints_total: {
    type: 'counter',
    help: 'Notes that another node missed a record.',
  },
  atoll_vnode_missed_writes_total: {
    type: 'counter',
    help: 'Writes that this node missed while its database took none.',
  },
  atoll_vnode_record_bytes: {
    type: 'gauge',
    help: 'Bytes of the keys and values of all records on this node, tombstones among them.',
  },
  atoll_vnode_records: {
    type: 'gauge',
    help: 'Records on this node, those of which it holds a replica for another node and tombstones among them.',
  },
  atoll_vnode_refiled_records_total: {
    type: 'counter',
    help: 'Records that were filed anew for a ring with more partitions.',
  },
  atoll_vnode_reordered_index_entries_total: {
    type: 'counter',
    help: 'Index entries of an earlier format that were brought into the one order of the node.',
  },
  atoll_vnode_storage_failed: {
    type: 'gauge',
    help: 'Whether the database of this node takes no writes: 1 while that is so, else 0.',
  },
  atoll_vnode_storage_reopened_total: {
    type: 'counter',
    help: 'Times that the database of this node was closed and opened again after a failed write.',
  },
  atoll_vnode_tombstones: {
    type: 'gauge',
    help: 'Records on this node of which nothing is left but that they were deleted.',
  },
} as const satisfies Readonly<Record<string, MetricEntry>>
