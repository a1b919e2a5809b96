import { assert } from '@atoll/core'
import type { HandoffVnode, Page, PageLimits } from '@atoll/vnode'

/** All pages of a vnode behind a cursor, each read while the one before is being sent. */
export class PagesAhead {
  readonly #vnode: HandoffVnode
  readonly #limits: PageLimits
  #pages: AsyncGenerator<Page, void> | undefined

  constructor(vnode: HandoffVnode, limits: PageLimits) {
    this.#vnode = vnode
    this.#limits = limits
  }

  /** The cursor counts for the first page alone. */
  async next(cursor: Uint8Array | undefined): Promise<Page> {
    this.#pages ??= this.#vnode.pages(cursor, this.#limits)
    const { value: page } = await this.#pages.next()
    assert(page !== undefined, 'there is a page behind every cursor')
    return page
  }

  async close(): Promise<void> {
    await this.#pages?.return()
  }
}
