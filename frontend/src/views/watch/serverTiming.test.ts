import { serverTiming } from './serverTiming'

test('reads durations by name', () => {
  expect(serverTiming('check;dur=0.21, log;dur=1.93')).toEqual({ check: 0.21, log: 1.93 })
})

test('takes descriptions, quotes and spaces, and leaves out what has no duration', () => {
  expect(serverTiming('cache, log;desc="to Kafka";dur="2" , gateway; DUR = 5')).toEqual({
    log: 2,
    gateway: 5,
  })
  expect(serverTiming('bad;dur=soon')).toEqual({})
  expect(serverTiming(null)).toEqual({})
})
