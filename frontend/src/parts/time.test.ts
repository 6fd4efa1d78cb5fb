import { agoInWords, formatMs } from './time'

test('durations have the digits that matter', () => {
  expect([0.42, 23.4, 1_400, 120_000, null].map(formatMs)).toEqual(['0.4 ms', '23 ms', '1.4 s', '2 min', '–'])
})

test('moments are told in the largest unit that fits; the future is now', () => {
  expect(agoInWords(0, 12_000)).toBe('12 sec. ago')
  expect(agoInWords(0, 3 * 3_600_000)).toBe('3 hr. ago')
  expect(agoInWords(5_000, 0)).toBe('now')
})
