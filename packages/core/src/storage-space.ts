/** What one directory of a database takes. What a database does not know is undefined. */
export interface DirectoryUsage {
  /** Undefined for what is in memory. */
  readonly path: string | undefined
  /** `values`: large values, in segments. `index`: keys and small values beside these. `all`: both. */
  readonly holds: 'values' | 'index' | 'all'
  /** Bytes of values in use, about. */
  readonly liveBytes: number | undefined
  /**
   * Bytes that were written and that nothing uses any more, about, with the ends of files that are not written to any
   * more.
   */
  readonly deadBytes: number | undefined
  /** Bytes of its files that are free to be written, whether the disk has given them room already or not. */
  readonly freeBytes: number | undefined
  /**
   * What its files take on the disk, as the disk says. The end of a file that was never written takes nothing there, and is
   * counted as free, or as dead: so this may be less than `liveBytes`, `deadBytes` and `freeBytes` together.
   */
  readonly diskBytes: number | undefined
}

/** What the storage of a node takes: sums over its directories, of what is known. */
export interface StorageUsage
  extends Pick<DirectoryUsage, 'liveBytes' | 'deadBytes' | 'freeBytes' | 'diskBytes'> {
  readonly directories: readonly DirectoryUsage[]
}

/** How far a compaction that was asked for has come. */
export interface CompactionProgress {
  /** Segments that were emptied. */
  readonly segments: number
  /** Bytes of live values that were moved. */
  readonly movedBytes: number
}

export interface CompactOptions {
  /** Ends it; what was done stays. */
  readonly signal?: AbortSignal | undefined
  /** Called after every segment. */
  readonly onProgress?: ((progress: CompactionProgress) => void) | undefined
}
