const BAR = 32
const REDRAW_MS = 80

/** A bar with its rate, redrawn in place on a terminal, and a line for every quarter elsewhere. */
export function progressBar(
  label: string,
  totalBytes: number,
): { at(bytes: number): void; end(note?: string): void } {
  const started = performance.now()
  let drawn = Number.NEGATIVE_INFINITY
  let quarter = 0
  const draw = (bytes: number, end: string) => {
    const share = totalBytes === 0 ? 1 : bytes / totalBytes
    const filled = Math.round(BAR * share)
    const rate = bytes / 1e6 / Math.max((performance.now() - started) / 1000, 1e-3)
    const bar = '█'.repeat(filled) + '░'.repeat(BAR - filled)
    const figures = `${(bytes / 1e6).toFixed(1).padStart(6)} MB  ${rate.toFixed(0).padStart(4)} MB/s`
    process.stdout.write(`  ${label.padEnd(10)} ${bar} ${figures}${end}`)
  }
  return {
    at: (bytes) => {
      if (process.stdout.isTTY) {
        if (performance.now() - drawn < REDRAW_MS) return
        drawn = performance.now()
        return draw(bytes, '\r')
      }
      const passed = Math.floor((4 * bytes) / Math.max(totalBytes, 1))
      if (passed <= quarter || passed === 4) return
      quarter = passed
      draw(bytes, '\n')
    },
    end: (note = '') => draw(totalBytes, `${note}\n`),
  }
}
