import type { ObjectStore } from '@atoll/objects'

const BUCKET = 'guest-book'

/** What you want to test: a guest book, in which every entry is an object of its own. */
export class GuestBook {
  readonly #objects: ObjectStore

  constructor(objects: ObjectStore) {
    this.#objects = objects
  }

  async create(): Promise<void> {
    await this.#objects.createBucket(BUCKET)
  }

  /** Returns when the entry is safe. */
  async sign(guest: string, words: string): Promise<void> {
    await this.#objects.put(BUCKET, guest, new TextEncoder().encode(words))
  }

  async read(): Promise<Record<string, string>> {
    const entries: Record<string, string> = {}
    for await (const { key } of this.#objects.listAll(BUCKET)) {
      const { body } = await this.#objects.get(BUCKET, key)
      const decoder = new TextDecoder()
      let words = ''
      for await (const chunk of body) words += decoder.decode(chunk, { stream: true })
      entries[key] = words
    }
    return entries
  }
}
