import { type TupleReader, type TupleValue } from '@atoll/core'
import type { Change } from './changes.ts'
export declare function packChange(change: Change): readonly TupleValue[]
/** Reads every field. Throws `ATOLL_CORRUPT`. */
export declare function unpackChange(reader: TupleReader): Change
//# sourceMappingURL=change-codec.d.ts.map
