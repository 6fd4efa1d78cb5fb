import { failed, gateWords, latencyWords, ratioWords, side } from './gate'
import { report } from './samples'

it('reads an interval by the side of 1 on which it lies', () => {
  expect(side({ ratio: 1.1, low: 1.02, high: 1.2 })).toBe('better')
  expect(side({ ratio: 0.9, low: 0.8, high: 0.99 })).toBe('worse')
  expect(side({ ratio: 1.01, low: 0.98, high: 1.05 })).toBe('no clear difference')
  expect(side({ ratio: null, low: null, high: null })).toBe('not judged')
})

it('says ratio and interval', () => {
  expect(ratioWords({ ratio: 1.0102, low: 0.978, high: 1.046 })).toBe(
    "1.010 times the champion's (95 % from 0.978 to 1.046)",
  )
  expect(ratioWords({ ratio: null, low: null, high: null })).toBe('not judged')
})

it('says the verdict against a champion, and against popularity', () => {
  expect(
    gateWords(report({ passed: false, ratios: { all: { ratio: 1.01, low: 0.978, high: 1.046 } } })),
  ).toBe("Refused against version 1: NDCG@10 1.010 times the champion's (95 % from 0.978 to 1.046)")
  const checks = [{ name: 'better than popularity', passed: true, detail: 'NDCG@10 0.15 beats 0.04' }]
  expect(gateWords(report({ against: 'recent popularity', ratios: {}, checks }))).toBe(
    'Passed against recent popularity: NDCG@10 0.15 beats 0.04',
  )
})

it('compares latencies where there are two', () => {
  expect(latencyWords({ challenger_ms: 2.1277, champion_ms: 2 })).toBe(
    '2.13 ms a request, the champion 2.00 ms (1.06 times)',
  )
  expect(latencyWords({ challenger_ms: 2.1277 })).toBe('2.13 ms a request')
  expect(latencyWords({})).toBeNull()
})

it('names what failed', () => {
  const checks = [
    { name: 'latency', passed: false, detail: '' },
    { name: 'bundle size', passed: true, detail: '' },
  ]
  expect(failed(report({ checks }))).toEqual(['latency'])
})
