/** A place where somebody waits: `coming` resolves when `come` is called, and `going`, which is waited for, with `go`. */
export function gate() {
  let [come, go] = [() => {}, () => {}]
  const coming = new Promise<void>((resolve) => {
    come = resolve
  })
  const going = new Promise<void>((resolve) => {
    go = resolve
  })
  return { coming, come, going, go }
}
