import { type NodeName, type Ring } from '@atoll/ring'
import type { Member } from './document.ts'

type Members = ReadonlyMap<NodeName, Member>
export declare function zonesOf(members: Members): ReadonlyMap<NodeName, string>
/** A ring of these owners with the zones of the members. */
export declare function ringOf(owners: readonly NodeName[], members: Members): Ring
//# sourceMappingURL=zones.d.ts.map
