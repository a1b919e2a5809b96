/** The codes that classic-level has for the same troubles, so that whoever copes with it copes with this. */
export type DiskErrorCode = 'LEVEL_IO_ERROR' | 'LEVEL_LOCKED'

export class DiskError extends Error {
  override readonly name = 'DiskError'
  readonly code: DiskErrorCode

  constructor(code: DiskErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
