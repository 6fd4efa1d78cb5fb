import { place, scaleOf, step } from './scale'

const rate = (low: number, mean: number, high: number) => ({ low, mean, high })

it('has round steps', () => {
  expect([1, 0.1, 0.37, 0.06].map((span) => step(span, 4))).toEqual(
    [0.25, 0.025, 0.1, 0.02].map((x) => expect.closeTo(x)),
  )
})

it('holds every interval, with round ends', () => {
  const scale = scaleOf([rate(0.21, 0.25, 0.29), rate(0.26, 0.3, 0.34)])
  expect(scale.low).toBeCloseTo(0.2)
  expect(scale.high).toBeCloseTo(0.35)
  expect(scale.ticks.length).toBeGreaterThan(2)
  expect(scale.ticks.at(-1)).toBeCloseTo(scale.high)
})

it('never leaves 0 to 1, and never has no width', () => {
  expect(scaleOf([rate(0, 0.5, 1)])).toMatchObject({ low: 0, high: 1 })
  expect(scaleOf([])).toMatchObject({ low: 0, high: 1 })
  const none = scaleOf([rate(0, 0, 0)])
  expect(none.high).toBeGreaterThan(none.low)
})

it('places values, keeping them inside', () => {
  const scale = { low: 0.2, high: 0.4, ticks: [] }
  expect([0.1, 0.2, 0.3, 0.5].map((value) => place(value, scale))).toEqual([0, 0, expect.closeTo(50), 100])
})
