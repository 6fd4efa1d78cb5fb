import { alike, difference } from './difference'

it('finds nothing between equal lists', () => {
  const found = difference(['x', 'y', 'z'], ['x', 'y', 'z'])
  expect(found).toMatchObject({ k: 3, shared: 3, overlap: 1, tau: 1 })
  expect(alike(found)).toBe(true)
})

it('gives -1 to a reversed list', () => {
  const found = difference(['x', 'y', 'z'], ['z', 'y', 'x'])
  expect(found.tau).toBe(-1)
  expect(found.overlap).toBe(1)
  expect(alike(found)).toBe(false)
})

it('tells who moved, by how much, and who is only in one', () => {
  const found = difference(['p', 'q', 'r', 's'], ['r', 'q', 'n', 'p'])
  expect(found.b).toEqual([
    { kind: 'moved', by: 2 },
    { kind: 'same' },
    { kind: 'only' },
    { kind: 'moved', by: -3 },
  ])
  expect(found.a).toEqual([
    { kind: 'moved', by: 3 },
    { kind: 'same' },
    { kind: 'moved', by: -2 },
    { kind: 'only' },
  ])
  expect(found.pairs).toEqual([
    [0, 3],
    [1, 1],
    [2, 0],
  ])
  // of p q r all three pairs are the other way round
  expect(found.tau).toBe(-1)
  expect(found.overlap).toBe(0.75)
})

it('counts one pair of three that disagrees', () => {
  expect(difference(['p', 'q', 'r'], ['q', 'p', 'r']).tau).toBeCloseTo(1 / 3, 12)
})

it('compares only as many places as both have', () => {
  const found = difference(['p', 'q'], ['q', 'r', 's', 'p'])
  expect(found).toMatchObject({ k: 2, shared: 1, overlap: 0.5 })
  expect(alike(difference(['p'], ['p', 'q']))).toBe(false)
})

it('has no figures where there is nothing to compare', () => {
  expect(difference([], ['p'])).toMatchObject({ overlap: null, tau: null })
  expect(difference(['p', 'q'], ['q', 'r']).tau).toBeNull()
})
