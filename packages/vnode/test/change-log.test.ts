import { expect, test } from 'vitest'
import { ChangeLog } from '../src/change-log.ts'
import { keyText } from '../src/keys.ts'
import { VnodeLayout } from '../src/layout.ts'
import { id } from './world.ts'

test('each who watches is told of every change from its beginning to its end, whoever watches besides', () => {
  const layout = new VnodeLayout(1)
  const log = new ChangeLog(layout)
  const change = (key: string) => {
    const dataKey = layout.dataKey(id(key))
    const name = keyText(dataKey)
    log.note(dataKey, name)
    return name
  }
  change('before')
  const first = log.watch()
  const one = change('one')
  const second = log.watch()
  const two = change('two')
  first.end()
  const three = change('three')
  expect([...first.touched]).toEqual([one, two])
  expect([...second.touched]).toEqual([two, three])
})
