import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { levelExists, nodeFiles, nodeRuntime, ValueLogLevel, type ValueLogOptions } from '../src/index.ts'
import { type Db, SMALL_LOG } from './workload.ts'

/** A value log over classic-level in a directory. */
export function openAt(place: string, options: ValueLogOptions = {}): Db {
  const keys = join(place, 'keys')
  const parts = {
    inner: new ClassicLevel(keys),
    innerExists: () => levelExists(keys),
    files: nodeFiles(join(place, 'values')),
  }
  return new ValueLogLevel(nodeRuntime(), parts, {
    valueEncoding: 'view',
    valueLog: { ...SMALL_LOG, ...options },
  })
}
