import { arrival } from './arrival'

const records = (...found: object[]) => {
  performance.getEntriesByName = () => found as PerformanceEntryList
}

test('takes the moment from the browser’s record of that request', () => {
  records({ startTime: 5, responseEnd: 9 }, { startTime: 100, responseEnd: 112 })
  expect(arrival('/events', 100)).toBe(112)
})

test('without a record of this request it is now', () => {
  vi.spyOn(performance, 'now').mockReturnValue(500)
  records()
  expect(arrival('/events', 0)).toBe(500)
  records({ startTime: 5, responseEnd: 9 })
  expect(arrival('/events', 100)).toBe(500)
  records({ startTime: 120, responseEnd: 0 })
  expect(arrival('/events', 100)).toBe(500)
})
