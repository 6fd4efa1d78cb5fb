import { fixed, percent, points, short } from './numbers'

it('writes numbers', () => {
  expect(fixed(1234.5, 1)).toBe('1,234.5')
  expect(fixed(-0.5, 2)).toBe('−0.50')
  expect([1234.4, 12.34, 0.4234, 3].map(short)).toEqual(['1,234', '12.3', '0.42', '3'])
  expect(percent(0.1234)).toBe('12.3 %')
})

it('signs differences, but not zero', () => {
  expect([0.0312, -0.0312, 0.0001, -0.0001].map(points)).toEqual(['+3.1', '−3.1', '0.0', '0.0'])
})
