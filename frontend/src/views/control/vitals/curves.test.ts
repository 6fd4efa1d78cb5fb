import { extended, growth, lastKnown, paths, SPAN_MS, top } from './curves'

it('finds the newest value and its age', () => {
  expect(lastKnown([])).toBeNull()
  expect(lastKnown([[0, null]])).toBeNull()
  expect(
    lastKnown([
      [1_000, 7],
      [3_000, null],
      [5_000, null],
    ]),
  ).toEqual({ value: 7, age_ms: 4_000 })
})

it('keeps a curve as long as the span', () => {
  const curve = extended([[0, 1]], SPAN_MS, 2)
  expect(curve).toEqual([[SPAN_MS, 2]])
  expect(extended(curve, SPAN_MS, 3)).toBe(curve)
})

it('counts growth over a restart', () => {
  expect(growth([])).toBe(0)
  expect(
    growth([
      [1, 5],
      [2, 8],
      [3, null],
      [4, 1],
      [5, 3],
    ]),
  ).toBe(5)
})

it('breaks a path where nothing happened', () => {
  const curve = [
    [0, 0],
    [SPAN_MS / 2, 10],
    [(SPAN_MS * 3) / 4, null],
    [SPAN_MS, 5],
  ] as const
  expect(paths(curve, SPAN_MS, 10, 100, 20)).toEqual(['M0.0 20.0L50.0 0.0', 'M100.0 10.0L100.0 10.0'])
})

it('leaves room for a line that must be seen', () => {
  expect(top([[[0, 3]]], 50)).toBe(50)
  expect(top([[[0, 80]]], 50)).toBe(80)
  expect(top([[]])).toBe(1)
})
