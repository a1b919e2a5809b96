import { type TupleReader, type TupleValue } from '@atoll/core'
import type { ClusterDocument, Member } from './document.ts'
export declare function encodeDocument(document: ClusterDocument): Uint8Array
/** Throws `ATOLL_CORRUPT` for bytes that are no document, and `ATOLL_FORMAT` for those of a newer version. */
export declare function decodeDocument(bytes: Uint8Array): ClusterDocument
/** All that a plan depends on: neither bucket types nor refills, nor where a member listens or who has to copy still. */
export declare function encodeBasis(document: ClusterDocument): Uint8Array
export declare function packMember({ node, id, address, zone, state, upState }: Member): readonly TupleValue[]
export declare function unpackMember(reader: TupleReader): Member
export declare function keyed<T>(items: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, T>
//# sourceMappingURL=codec.d.ts.map
