import { ageOf, countText, distanceOf, valueText } from './words'

it('tells ages in two units', () => {
  expect(ageOf(-5)).toBe('0.0 s')
  expect(ageOf(9_940)).toBe('9.9 s')
  expect(ageOf(9_960)).toBe('9 s')
  expect(ageOf(59_999)).toBe('59 s')
  expect(ageOf(185_000)).toBe('3 min 05 s')
  expect(ageOf(7_800_000)).toBe('2 h 10 min')
  expect(ageOf(50.7 * 86_400_000)).toBe('50 d 16 h')
  expect(ageOf(200.5 * 86_400_000)).toBe('200 d')
})

it('tells distances from now', () => {
  expect(distanceOf(0)).toBe('now')
  expect(distanceOf(-1_800_000)).toBe('−30 min')
  expect(distanceOf(6 * 3_600_000)).toBe('+6 h')
  expect(distanceOf(-15 * 86_400_000)).toBe('−15 d')
})

it('gives counts the digits that mean something', () => {
  expect(countText(0)).toBe('0')
  expect(countText(0.0001)).toBe('<0.001')
  expect(countText(1.25)).toBe('1.250')
  expect(countText(97.56937)).toBe('97.57')
  expect(countText(387.804)).toBe('387.8')
})

it('shows any value', () => {
  expect(valueText(null)).toBe('–')
  expect(valueText([])).toBe('empty')
  expect(valueText(['War', 'Drama'])).toBe('War, Drama')
  expect(valueText([1, 2, 3, 4])).toBe('4 values')
  expect(valueText(4.358490467071533)).toBe('4.35849')
  expect(valueText(1795549919006000)).toBe('1795549919006000')
})
