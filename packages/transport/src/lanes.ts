/**
 * Urgent calls overtake others, so each lane of a connection counts for itself: ids of urgent calls are odd, those of
 * other calls and of streams are even.
 */
export function isUrgent(id: number): boolean {
  return id % 2 === 1
}

/** Gives out ids that grow within each lane. */
export class LaneIds {
  #ordinary = 0
  #urgent = -1

  next(urgent: boolean): number {
    if (urgent) this.#urgent += 2
    else this.#ordinary += 2
    return urgent ? this.#urgent : this.#ordinary
  }
}

/** Frames of a lane arrive in order, so every id up to the highest was seen: what comes with one again is a repetition. */
export class SeenIds {
  #ordinary = 0
  #urgent = 0

  /** False if the id was seen before. */
  add(id: number): boolean {
    if (id <= (isUrgent(id) ? this.#urgent : this.#ordinary)) return false
    if (isUrgent(id)) this.#urgent = id
    else this.#ordinary = id
    return true
  }
}
