import { compareBytes, endOfBytes, fromUtf8, type TermGroups, utf8 } from '@atoll/core'
import type { KvStoreScanEntry, KvStoreScanPage } from './ports.ts'

export interface WalkPlan {
  readonly prefix: string
  readonly delimiter: string | undefined
  readonly after: string | undefined
  readonly limit: number
}

/** What to scan next. */
export interface WalkScan {
  readonly from: Uint8Array
  readonly to: Uint8Array | undefined
  readonly after: Uint8Array | undefined
  readonly limit: number
  readonly groups: TermGroups | undefined
}

export interface WalkEntry {
  readonly name: string
  readonly payloads: readonly Uint8Array[]
}

/** Terms are no longer: a prefix that is has none behind it. */
const MAX_TERM_BYTES = 4096

/**
 * One page of a listing over an index of which the terms are names: a step machine that is fed pages of scans. With a
 * delimiter, names with a common prefix count as one item, of which the store answers one entry, so that a page costs what
 * it shows and not what lies below.
 */
export class ListWalk {
  readonly entries: WalkEntry[] = []
  readonly prefixes: string[] = []
  readonly #plan: WalkPlan
  readonly #to: Uint8Array | undefined
  readonly #groups: TermGroups | undefined
  #from: Uint8Array | undefined
  #resume: Uint8Array | undefined
  /** The last item that was taken; for a common prefix, also what is passed over if it comes. */
  #last: { readonly name: string; readonly isPrefix: boolean } | undefined
  #next: string | undefined

  constructor(plan: WalkPlan) {
    this.#plan = plan
    this.#to = endOfBytes(utf8(plan.prefix))
    this.#groups = groupsOf(plan)
    this.#from = start(plan)
  }

  /** Undefined when the page is complete. */
  get scan(): WalkScan | undefined {
    if (this.#from === undefined) return undefined
    const limit = this.#room() + 1
    return { from: this.#from, to: this.#to, after: this.#resume, limit, groups: this.#groups }
  }

  /** `after` of the next page; undefined if this is the last one. */
  get next(): string | undefined {
    return this.#next
  }

  take({ entries, next }: KvStoreScanPage): void {
    const isFull = entries.some((entry) => !this.#takeEntry(entry))
    if (isFull || next === undefined) this.#from = undefined
    else this.#resume = next
  }

  /** False if there is one item more than the page may have. */
  #takeEntry(entry: KvStoreScanEntry): boolean {
    if (this.#last?.isPrefix && this.#isBelowLast(entry)) return true
    if (this.#room() === 0) {
      this.#next = this.#last?.name
      return false
    }
    const name = fromUtf8(entry.term)
    const group = commonPrefix(name, this.#plan)
    if (group === undefined) this.entries.push({ name, payloads: entry.payloads })
    else this.prefixes.push(group)
    this.#last = { name: group ?? name, isPrefix: group !== undefined }
    return true
  }

  #isBelowLast({ term }: KvStoreScanEntry): boolean {
    return fromUtf8(term).startsWith(this.#last?.name ?? '')
  }

  #room(): number {
    return this.#plan.limit - this.entries.length - this.prefixes.length
  }
}

function groupsOf({ prefix, delimiter }: WalkPlan): TermGroups | undefined {
  if (delimiter === undefined) return undefined
  const groups = { prefix: utf8(prefix), delimiter: utf8(delimiter) }
  return groups.prefix.length + groups.delimiter.length > MAX_TERM_BYTES ? undefined : groups
}

/** The first term that may be shown: everything shown is greater than `after`, common prefixes too. */
function start({ prefix, delimiter, after }: WalkPlan): Uint8Array | undefined {
  const first = utf8(prefix)
  if (after === undefined) return first
  const group = after.startsWith(prefix) ? commonPrefix(after, { prefix, delimiter }) : undefined
  const behind = group === undefined ? utf8(`${after}\0`) : endOfBytes(utf8(group))
  return behind === undefined || compareBytes(behind, first) > 0 ? behind : first
}

/** `photos/` of `photos/2024/reef.jpg` for the delimiter `/`; undefined if there is none behind the prefix. */
function commonPrefix(
  name: string,
  { prefix, delimiter }: Pick<WalkPlan, 'prefix' | 'delimiter'>,
): string | undefined {
  if (delimiter === undefined) return undefined
  const at = name.indexOf(delimiter, prefix.length)
  return at < 0 ? undefined : name.slice(0, at + delimiter.length)
}
