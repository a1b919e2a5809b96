import { AtollError } from './errors.ts'

/** What a database of the Level family says of itself, as far as Atoll asks. */
export interface StorageFeatures {
  readonly supports: object
  keyEncoding(name: 'view'): { readonly format: string }
}

/**
 * What a database must be to hold a node, or a value log's index; the storage suite of `@atoll/conformance` asks the
 * same. It is written for abstract-level 2 or 3, its iterators see no write that came after them (by implicit
 * snapshots, or by explicit ones), and it stores bytes. Throws `ATOLL_STORE_UNSUPPORTED` that says what is missing.
 * What no database says of itself is what it does with `sync: true`: that must not be answered before the write, and
 * all before it, would survive a loss of power.
 */
export function checkStorage(database: StorageFeatures): void {
  const { supports } = database
  // Version 1 knows one kind of snapshots, and names it otherwise.
  if (!('implicitSnapshots' in supports))
    throw unsupported('abstract-level', 'the database is written for abstract-level 1; 2 or 3 is needed')
  const isExplicit = 'explicitSnapshots' in supports && supports.explicitSnapshots === true
  if (!isExplicit && supports.implicitSnapshots !== true)
    throw unsupported('snapshots', 'the database has no snapshots: its iterators would see half of a write')
  if (!hasBinaryKeys(database))
    throw unsupported(
      'binary keys and values',
      'the database does not support binary keys and values: it stores text',
    )
}

function hasBinaryKeys(database: StorageFeatures): boolean {
  try {
    return database.keyEncoding('view').format !== 'utf8'
  } catch {
    return false
  }
}

function unsupported(feature: string, message: string): AtollError {
  return new AtollError('ATOLL_STORE_UNSUPPORTED', message, { details: { feature } })
}
