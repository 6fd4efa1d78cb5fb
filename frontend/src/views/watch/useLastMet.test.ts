// @vitest-environment jsdom
import { lastMet } from './useLastMet'

test('the newest event counts, wherever it stands', () => {
  expect(lastMet({ event_count: 3, recent_items: ['a', 'b', 'c'], recent_us: [5, 9, 7] })).toEqual({
    known: true,
    itemId: 'b',
  })
  expect(lastMet({ event_count: 2, recent_items: ['a', 'b'], recent_us: [5, 5] }).itemId).toBe('b')
})

test('a row of a profile alone names nothing', () => {
  expect(lastMet({ event_count: 0, recent_items: [], recent_us: [] })).toEqual({ known: false, itemId: null })
  expect(lastMet({})).toEqual({ known: false, itemId: null })
})
