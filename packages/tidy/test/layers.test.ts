import { describe, expect, it } from 'vitest'
import { areSiblings, isKit, isKnown, isPure, refusal } from './layers.ts'
import { type Package, packages, type SourceFile } from './repository.ts'

const SCOPE = '@atoll/'

/** The Atoll packages that a file imports. */
const housemates = (file: SourceFile) =>
  file.imports.filter((name) => name.startsWith(SCOPE)).map((name) => name.slice(SCOPE.length))

function sourceRefusals({ name, sources }: Package): string[] {
  return sources.flatMap((file) =>
    housemates(file).flatMap((to) => {
      const because = refusal(name, to)
      return because === undefined ? [] : [`${file.path} imports ${SCOPE}${to}: ${because}`]
    }),
  )
}

/** Tests may go where their sources may go, to their own package's door, to the siblings on its floor, and to the kits. */
function testRefusals({ name, tests }: Package): string[] {
  return tests.flatMap((file) =>
    housemates(file).flatMap((to) => {
      const because = isKit(to) || to === name || areSiblings(name, to) ? undefined : refusal(name, to)
      return because === undefined ? [] : [`${file.path} imports ${SCOPE}${to}: ${because}`]
    }),
  )
}

describe('the house', () => {
  it('has a floor for every package', () => {
    expect(packages.map(({ name }) => name).filter((name) => !isKnown(name))).toEqual([])
  })

  it('imports point down', () => {
    expect(packages.flatMap(sourceRefusals)).toEqual([])
  })

  it('tests import nothing above them but kits', () => {
    expect(packages.flatMap(testRefusals)).toEqual([])
  })

  it('pure packages import nothing of Node', () => {
    const offences = packages
      .filter(({ name }) => isPure(name))
      .flatMap(({ sources }) => sources)
      .flatMap(({ path, imports }) =>
        imports.filter((name) => name.startsWith('node:')).map((name) => `${path}: ${name}`),
      )
    expect(offences, 'take it as a port: Runtime of core, or one in ports.ts').toEqual([])
  })
})

describe('the table of floors', () => {
  it('knows who lives on one floor', () => {
    expect(areSiblings('handoff', 'replicas')).toBe(true)
    expect(areSiblings('handoff', 'vnode')).toBe(false)
    expect(areSiblings('unheard-of', 'unknown')).toBe(false)
  })

  it.each([
    ['vnode', 'ring'],
    ['replicas', 'vnode'],
    ['handoff', 'vnode'],
    ['transport-tcp', 'transport'],
    ['sim', 'core'],
    ['conformance', 'transport'],
    ['store', 'value-log-level'],
    ['swarm', 'sim'],
    ['example-01-embedded', 'store'],
  ])('lets %s import %s', (from, to) => {
    expect(refusal(from, to)).toBeUndefined()
  })

  it.each([
    ['core', 'ring', 'a higher floor'],
    ['ring', 'causality', 'the same floor'],
    ['transport', 'transport-tcp', 'the same floor'],
    ['handoff', 'replicas', 'the same floor'],
    ['coordinator', 'replicas', 'Replicas'],
    ['coordinator', 'vnode', 'Replicas'],
    ['vnode', 'transport', 'network'],
    ['objects', 'coordinator', 'KvStore'],
    ['vnode', 'sim', 'devDependency'],
    ['vnode', 'value-log-level', 'handed in'],
    ['sim', 'ring', 'only core and transport'],
    ['value-log-level', 'transport', 'only core'],
    ['node', 'swarm', 'nothing imports it'],
    ['node', 'unheard-of', 'layers.ts'],
    ['ring', 'ring', 'own files'],
  ])('keeps %s from importing %s', (from, to, because) => {
    expect(refusal(from, to)).toContain(because)
  })
})
