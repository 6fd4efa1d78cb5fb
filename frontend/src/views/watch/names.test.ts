import { byline, shortTitle } from './names'

test('the year stands once', () => {
  expect(shortTitle('Fargo (1996)', '1996-01-01')).toBe('Fargo')
  expect(shortTitle('Fargo (1996)', '1997-01-01')).toBe('Fargo (1996)')
  expect(shortTitle('Blue Album', null)).toBe('Blue Album')
})

test('the line beneath has what is known', () => {
  expect(byline('1977-01-01', ['Action', 'Adventure', 'War'])).toBe('1977 · Action, Adventure')
  expect(byline(null, [])).toBe('')
})
