import { compareBytes, fromUtf8, utf8 } from '@atoll/core'
import type { KvScanEntry, KvScanPage } from './ports.ts'

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
}

export interface WalkEntry {
  readonly name: string
  readonly payloads: readonly Uint8Array[]
}

/** What is read at once where most of it may lie below a common prefix that is passed over. */
const SMALL_SCAN = 16

/**
 * One page of a listing over an index of which the terms are names: a step machine that is fed pages of scans. With a
 * delimiter, names with a common prefix count as one item, and the scan goes on behind the last name that can have it,
 * so that a page costs what it shows and not what lies below.
 */
export class ListWalk {
  readonly entries: WalkEntry[] = []
  readonly prefixes: string[] = []
  readonly #plan: WalkPlan
  readonly #to: Uint8Array | undefined
  #from: Uint8Array | undefined
  #resume: Uint8Array | undefined
  #scanLimit: number
  /** The last item that was taken; for a common prefix, also what is passed over. */
  #last: { readonly name: string; readonly isPrefix: boolean } | undefined
  #next: string | undefined

  constructor(plan: WalkPlan) {
    this.#plan = plan
    this.#to = successor(utf8(plan.prefix))
    this.#from = start(plan)
    this.#scanLimit = plan.delimiter === undefined ? plan.limit + 1 : Math.min(SMALL_SCAN, plan.limit + 1)
  }

  /** Undefined when the page is complete. */
  get scan(): WalkScan | undefined {
    if (this.#from === undefined) return undefined
    return { from: this.#from, to: this.#to, after: this.#resume, limit: this.#scanLimit }
  }

  /** `after` of the next page; undefined if this is the last one. */
  get next(): string | undefined {
    return this.#next
  }

  take({ entries, next }: KvScanPage): void {
    const isFull = entries.some((entry) => !this.#takeEntry(entry))
    if (isFull || next === undefined) this.#from = undefined
    else if (this.#last?.isPrefix === true && this.#isBelowLast(entries.at(-1))) this.#passOver()
    else {
      this.#resume = next
      this.#scanLimit = Math.min(2 * this.#scanLimit, this.#room() + 1)
    }
  }

  /** False if there is one item more than the page may have. */
  #takeEntry(entry: KvScanEntry): boolean {
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

  #passOver(): void {
    this.#from = successor(utf8(this.#last?.name ?? ''))
    this.#resume = undefined
    this.#scanLimit = Math.min(SMALL_SCAN, this.#room() + 1)
  }

  #isBelowLast(entry: KvScanEntry | undefined): boolean {
    return entry !== undefined && fromUtf8(entry.term).startsWith(this.#last?.name ?? '')
  }

  #room(): number {
    return this.#plan.limit - this.entries.length - this.prefixes.length
  }
}

/** The first term that may be shown: everything shown is greater than `after`, common prefixes too. */
function start({ prefix, delimiter, after }: WalkPlan): Uint8Array | undefined {
  const first = utf8(prefix)
  if (after === undefined) return first
  const group = after.startsWith(prefix) ? commonPrefix(after, { prefix, delimiter }) : undefined
  const behind = group === undefined ? utf8(`${after}\0`) : successor(utf8(group))
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

/** The least bytes that are greater than all that begin with `prefix`; undefined if there are none. */
export function successor(prefix: Uint8Array): Uint8Array | undefined {
  let length = prefix.length
  while (length > 0 && prefix[length - 1] === 0xff) length--
  if (length === 0) return undefined
  const next = prefix.slice(0, length)
  next[length - 1] = (next[length - 1] ?? 0) + 1
  return next
}
