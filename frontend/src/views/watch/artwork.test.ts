// @vitest-environment jsdom
import { artwork, styleOf } from './artwork'

const GENRES = [
  'Action',
  'Adventure',
  'Comedy',
  'Crime',
  'Drama',
  'Fantasy',
  'Horror',
  'Romance',
  'Sci-Fi',
  'Western',
]

test('the same item always looks the same', () => {
  expect(artwork('50', ['Action', 'War'])).toBe(artwork('50', ['Action', 'War']))
})

test('two items of one kind are not alike', () => {
  expect(artwork('50', ['Drama'])).not.toBe(artwork('51', ['Drama']))
})

test('each kind has a motif of its own', () => {
  expect(new Set(GENRES.map((genre) => styleOf(genre).motif)).size).toBe(GENRES.length)
})

test('a category nobody foresaw has a style, and keeps it', () => {
  expect(styleOf('garden furniture')).toEqual(styleOf('garden furniture'))
})

test.each([...GENRES, 'Animation', 'Film-Noir', 'Musical', 'Mystery', 'Thriller', 'War', 'Documentary', 'x'])(
  'the picture of %s is a well-formed document without text, whose numbers are numbers',
  (genre) => {
    const made = new DOMParser().parseFromString(artwork('7', [genre]), 'image/svg+xml')
    expect(made.querySelector('parsererror')).toBeNull()
    expect(made.documentElement.textContent).toBe('')
    expect(made.documentElement.outerHTML).not.toMatch(/NaN|undefined|Infinity/)
  },
)

test('an item without categories or with strange names has a picture that cannot break out', () => {
  for (const picture of [artwork('x', []), artwork('"><script>', ['<b>"&'])]) {
    expect(picture).not.toMatch(/script|<b>/)
  }
})
