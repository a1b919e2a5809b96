import type { AtollNode, ClusterOptions } from '@atoll/node'
import type { VnodeHost } from '@atoll/vnode'
import {
  believingAnybody,
  believingAnybodyOfObjects,
  countingAllAtOnce,
  freezingDigests,
  judgingFoldersByTheirFirst,
  refusingLargeMerges,
  takingSilenceForDamage,
  writingBlindly,
} from './answer-mutants.ts'
import { hastyDeletions, oneIdForAName } from './bucket-mutants.ts'
import { returningEarly } from './lending.ts'
import {
  answeringWhoeverComes,
  claimingAll,
  deletingBare,
  forgetfulRuntime,
  forgettingWhatIsWritten,
  goingOnAfterFailures,
  goingOnAlways,
  hastyDatabase,
  lastSiblingWins,
  livesKeptElsewhere,
  namingByNode,
  neverSealed,
  seeingNobody,
  staleIndexes,
  standingInForNobody,
  trustingItsClock,
  unguarded,
  withoutFence,
  withoutHints,
  withoutIdentities,
  withoutRepairs,
  withoutVotes,
} from './mutants.ts'

/** A fault of the program, put in from outside: by standing between two of its parts. */
export interface Bug {
  readonly about: string
  readonly build?: (options: Composition) => Composition
  /** What is done to every host of vnodes before it is opened. */
  readonly alter?: (host: VnodeHost) => void
  /** What is done to every node before it is opened. */
  readonly alterNode?: (node: AtollNode) => void
  /** True if nobody heeds what a peer says in the handshake that it can do. */
  readonly ignoresBuilds?: boolean
  /** True if of several stores that come in one message those that failed are answered as if they had not. */
  readonly answersForFailed?: boolean
}

/** A cluster of which every port is said. */
export type Composition = ClusterOptions &
  Required<Pick<ClusterOptions, 'runtime' | 'bucketTypes' | 'network'>>

export const NO_BUG: Bug = { about: 'the program as it is' }

export const BUGS: Readonly<Record<string, Bug>> = {
  'drop-read-repair': {
    about: 'what a read would repair never arrives',
    build: (options) => ({ ...options, replicas: (_, replicas) => withoutRepairs(replicas) }),
  },
  'ack-before-write': {
    about: 'a replica answers before its batch is written, and a power cut loses it',
    build: (options) => ({ ...options, storage: (...where) => hastyDatabase(options.storage(...where)) }),
  },
  'forget-sibling': {
    about: 'of two concurrent siblings a merge keeps one',
    build: (options) => ({ ...options, bucketTypes: lastSiblingWins(options.bucketTypes) }),
  },
  'stale-index': {
    about: 'a deleted object stays in the index',
    build: (options) => {
      const stale = staleIndexes()
      return { ...options, replicas: (_, replicas) => stale(replicas) }
    },
  },
  'reuse-actor': {
    about: 'a vnode that has lost its disk goes on under its old name (riak_kv#679)',
    build: (options) => ({
      ...options,
      runtime: (node) => forgetfulRuntime(options.runtime(node), node),
    }),
    alter: namingByNode,
  },
  'forget-promise': {
    about: 'an acceptor of the cluster document does not keep what it promised and accepted',
    build: (options) => ({ ...options, storage: (...where) => withoutVotes(options.storage(...where)) }),
  },
  'delete-unacked': {
    about: 'a vnode gives back records that those who hold the partition do not get',
    alter: claimingAll,
  },
  'always-alone': {
    about: 'a replica says of every write that it has met nothing else',
    build: (options) => ({ ...options, replicas: (_, replicas) => seeingNobody(replicas) }),
  },
  'reuse-dots-of-a-copy': {
    about:
      'that a directory was put back from a copy is not seen: it goes on with the leases of dots that it was copied with',
    build: (options) => {
      const elsewhere = livesKeptElsewhere()
      return { ...options, storage: (name, ...rest) => elsewhere(name, options.storage(name, ...rest)) }
    },
    alter: goingOnAlways,
  },
  'actor-survives-failure': {
    about:
      'after a batch that failed a vnode goes on as the actor of which others may have dots that it has lost',
    alter: goingOnAfterFailures,
  },
  'fallback-absence': {
    about: 'that there is nothing is believed of any replica, fallbacks among them',
    build: (options) => ({ ...options, bucketTypes: believingAnybody(options.bucketTypes) }),
  },
  'fallback-absence-of-objects': {
    about: 'that there is no such object is believed of any replica, fallbacks among them',
    build: (options) => ({ ...options, bucketTypes: believingAnybodyOfObjects(options.bucketTypes) }),
  },
  'unreachable-is-corrupt': {
    about: 'a replica that is out of reach counts as one whose copy is damaged',
    build: (options) => ({ ...options, replicas: (_, replicas) => takingSilenceForDamage(replicas) }),
  },
  'blind-repair': {
    about: 'a repair of a block is written without a look, as if it were a client that writes',
    build: (options) => ({ ...options, replicas: (_, replicas) => writingBlindly(replicas) }),
  },
  'merge-past-the-limit-refused': {
    about: 'a replica refuses what a merge makes larger than clients may write (here: 700 bytes)',
    alter: refusingLargeMerges,
  },
  'stale-digest': {
    about: 'a replica goes on to answer with the digest of a record that it has found out once',
    alter: freezingDigests,
  },
  'folder-of-the-first': {
    about: 'a folder of which the first object was deleted is passed over as a whole',
    build: (options) => {
      const judging = judgingFoldersByTheirFirst()
      return { ...options, replicas: (_, replicas) => judging(replicas) }
    },
  },
  'two-owners': {
    about: 'a vnode that was handed over goes on to take writes',
    alter: neverSealed,
  },
  'nameless-peers': {
    about: 'nobody says in the handshake what cluster and what data it has, so that a name is enough',
    build: (options) => ({ ...options, network: withoutIdentities(options.network) }),
  },
  'derivation-skipped-by-removal': {
    about:
      'a record that is removed here, since it is safe elsewhere, leaves what was written together with it',
    alter: deletingBare,
  },
  'conversion-forgets': {
    about: 'what is written to a record while a conversion moves it is forgotten',
    build: (options) => ({
      ...options,
      storage: (...where) => forgettingWhatIsWritten(options.storage(...where)),
    }),
  },
  'drop-hints': {
    about: 'what another replica missed is noted nowhere',
    alter: withoutHints,
  },
  'fallback-notes-nothing': {
    about: 'a fallback does not note for whom it stands in',
    build: (options) => ({ ...options, replicas: (_, replicas) => standingInForNobody(replicas) }),
  },
  'lease-beats-active': {
    about: 'what is decided of an upload by its lease is written whatever was decided meanwhile',
    alterNode: unguarded,
  },
  'deaf-to-builds': {
    about: 'a node of the build before is taken for one of this build',
    ignoresBuilds: true,
  },
  'batch-answers-for-failed': {
    about: 'of several stores that come in one message, those that failed are answered as the others are',
    answersForFailed: true,
  },
  'fence-lets-through': {
    about: 'a disk that may have lost the end of its log is written on to after a write that failed',
    build: (options) => ({ ...options, storage: (...where) => withoutFence(options.storage(...where)) }),
  },
  'lent-too-short': {
    about: 'what is lent to a write is given back before the write is on the disk',
    build: (options) => ({
      ...options,
      storage: (name, runtime) => returningEarly(options.storage(name, runtime), runtime),
    }),
  },
  'late-seat': {
    about: 'a put that comes while another one of its key is being written is answered by that',
    alterNode: answeringWhoeverComes,
  },
  'collection-by-own-clock': {
    about: 'a collection goes by the wall clock of its node alone',
    alterNode: trustingItsClock,
  },
  'bucket-under-its-name': {
    about:
      'what a bucket holds is filed under its name, so that what comes late is in the next one of that name',
    build: (options) => ({ ...options, runtime: (node) => oneIdForAName(options.runtime(node)) }),
  },
  'bucket-known-for-ever': {
    about: 'whoever deletes a bucket does not wait until nobody goes by what was known of it',
    build: (options) => ({ ...options, runtime: (node) => hastyDeletions(options.runtime(node)) }),
  },
  'raised-n-at-once': {
    about: 'reads and writes go by the new number of replicas before those that a type has got are filled',
    alterNode: countingAllAtOnce,
  },
}
