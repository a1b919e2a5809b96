import { describe, expect, it } from 'vitest'
import { isPure } from './layers.ts'
import {
  exists,
  type Manifest,
  type Package,
  packageFolders,
  packages,
  read,
  type SourceFile,
} from './repository.ts'

const root: Manifest = JSON.parse(read('package.json'))
/** What the root offers to all tests. */
const ROOT_TOOLS = ['@biomejs/biome', '@types/node', 'rolldown', 'typescript', 'vitest']

/** `@scope/name` or `name` of an import of a package; undefined for files and for Node's own. */
function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('node:')) return undefined
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
}

function imported(files: readonly SourceFile[]): string[] {
  const names = files.flatMap(({ imports }) => imports.map(packageOf)).filter((name) => name !== undefined)
  return [...new Set(names)].sort()
}

const keys = (record: Readonly<Record<string, string>> | undefined) => Object.keys(record ?? {}).sort()

/** Each fault of a package, as "path: fault". */
function faults(check: (one: Package) => readonly (string | false | undefined)[]): string[] {
  return packages.flatMap((one) =>
    check(one)
      .filter((fault) => typeof fault === 'string')
      .map((fault) => `${one.path}: ${fault}`),
  )
}

describe('every package', () => {
  it('has a manifest', () => {
    expect(packageFolders().filter((path) => !exists(`${path}/package.json`))).toEqual([])
  })

  it('says what it is', () => {
    expect(
      faults(({ path, manifest }) => [
        !exists(`${path}/README.md`) && 'has no README.md',
        !manifest.description && 'has no description',
        manifest.license !== 'Apache-2.0' && 'has not the licence Apache-2.0',
        manifest.type !== 'module' && 'is not of type module',
        manifest.version !== root.version && `has not the version ${root.version} of all`,
      ]),
    ).toEqual([])
  })

  it('offers its sources in here and its build out there, if it is public', () => {
    const entry = {
      '@atoll/source': './src/index.ts',
      types: './dist/index.d.ts',
      default: './dist/index.js',
    }
    expect(
      faults(({ manifest }) => [
        !manifest.private &&
          JSON.stringify(manifest.exports?.['.']) !== JSON.stringify(entry) &&
          'exports other than all',
        !manifest.private &&
          manifest.files?.join() !== 'dist,src,!dist/*.tsbuildinfo' &&
          'publishes other files than dist and src, without what the compiler remembers',
        !manifest.private && manifest.engines?.node !== root.engines?.node && 'needs another Node than all',
      ]),
    ).toEqual([])
  })
})

describe('dependencies', () => {
  it('are what the sources import, and nothing else', () => {
    expect(
      faults(({ name, manifest, sources }) => {
        const declared = keys(manifest.dependencies)
        const used = imported(sources)
        const toolsOfTidy = name === 'tidy' ? ['publint'] : []
        return [
          ...used
            .filter((one) => !declared.includes(one))
            .map((one) => `imports ${one}, but does not declare it`),
          ...declared
            .filter((one) => !used.includes(one) && !toolsOfTidy.includes(one))
            .map((one) => `declares ${one}, but does not import it`),
        ]
      }),
    ).toEqual([])
  })

  it('of tests are what the tests import, and nothing else', () => {
    expect(
      faults(({ manifest, tests }) => {
        const [own, ofTests] = [keys(manifest.dependencies), keys(manifest.devDependencies)]
        const used = imported(tests)
        const known = [manifest.name, ...own, ...ofTests, ...ROOT_TOOLS]
        return [
          ...used
            .filter((one) => !known.includes(one))
            .map((one) => `tests import ${one}, but it is not declared`),
          ...ofTests.filter((one) => !used.includes(one)).map((one) => `no test imports ${one}`),
          ...ofTests.filter((one) => own.includes(one)).map((one) => `declares ${one} twice`),
        ]
      }),
    ).toEqual([])
  })

  it('have one version for the whole house', () => {
    const catalog = [...read('pnpm-workspace.yaml').matchAll(/^ {2}"?([@\w/.-]+)"?: \^/gm)].map(
      (match) => match[1],
    )
    const used = new Set<string>()
    const others = faults(({ manifest }) =>
      Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).map(([name, version]) => {
        used.add(name)
        const expected = name.startsWith('@atoll/') ? 'workspace:*' : 'catalog:'
        return version !== expected && `asks for ${name} "${version}" instead of "${expected}"`
      }),
    )
    expect(others).toEqual([])
    expect(
      catalog.filter((name) => name !== undefined && !used.has(name)),
      'nobody uses these',
    ).toEqual([])
  })

  it('of the root are the tools alone', () => {
    expect(keys(root.devDependencies)).toEqual(ROOT_TOOLS)
    expect(keys(root.dependencies)).toEqual([])
  })
})

describe('tsconfig.json', () => {
  const built = packages.filter(({ name }) => name !== 'tidy')
  const up = (path: string) => (path.startsWith('examples/') ? '../../packages' : '..')

  it('is there', () => {
    expect(built.filter(({ tsconfig }) => tsconfig === undefined).map(({ path }) => path)).toEqual([])
  })

  it('refers to what the package depends on', () => {
    for (const { path, manifest, tsconfig } of built) {
      const expected = keys(manifest.dependencies)
        .filter((name) => name.startsWith('@atoll/'))
        .map((name) => `${up(path)}/${name.replace('@atoll/', '')}`)
      expect((tsconfig?.references ?? []).map((reference) => reference.path).sort(), path).toEqual(
        expected.sort(),
      )
    }
  })

  it("lets only the edge see Node's types", () => {
    for (const { name, path, tsconfig } of built) {
      expect(tsconfig?.extends, path).toBe('../../tsconfig.base.json')
      expect(tsconfig?.compilerOptions?.types, path).toEqual(isPure(name) ? undefined : ['node'])
      const sandbox = name === 'core' ? 'sandbox.d.ts' : '../core/sandbox.d.ts'
      expect(tsconfig?.include, path).toEqual(isPure(name) ? ['src', sandbox] : ['src'])
    }
  })

  // Biome follows paths, not custom conditions: without them it overlooks every promise that another package made.
  it('shows the linter where the sources of other packages are', () => {
    const blind = built.filter(({ path, tsconfig }) => {
      const paths = tsconfig?.compilerOptions?.paths
      return JSON.stringify(paths) !== JSON.stringify({ '@atoll/*': [`${up(path)}/*/src/index.ts`] })
    })
    expect(blind.map(({ path }) => path)).toEqual([])
  })
})
