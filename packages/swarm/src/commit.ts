import { execFileSync } from 'node:child_process'

/** The commit that the sources were checked out from, and whether they were changed since: a seed means nothing without. */
export function commitOfSources(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim()
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no') === '' ? '' : ', with changes'
    return `${git('rev-parse', '--short', 'HEAD')}${changed}`
  } catch {
    return 'unknown'
  }
}
