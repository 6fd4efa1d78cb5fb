import {
  judgeDead,
  judgeEvents,
  judgeFallbacks,
  judgeFreshness,
  judgeLag,
  judgeLatency,
  judgeShed,
  LIMITS,
  total,
} from './rules'
import { series, vitals } from './samples'

describe('freshness against the promise', () => {
  it.each([
    [null, 'quiet'],
    [12, 'good'],
    [50, 'good'],
    [50.1, 'watch'],
    [200, 'watch'],
    [201, 'bad'],
  ])('%s ms is %s', (p99, state) => {
    expect(judgeFreshness(vitals({ freshness_p99_ms: p99 })).state).toBe(state)
  })

  it('says the promise', () => {
    expect(judgeFreshness(vitals({ freshness_p99_ms: 80 })).why).toContain('50 ms promise')
    expect(judgeFreshness(vitals({ freshness_p99_ms: 800 })).why).toContain('ten times')
  })

  it('is bad without a stream, whatever the numbers were', () => {
    const targets = { stream: { up: false, url: 'http://stream', error: 'refused' } }
    expect(judgeFreshness(vitals({ freshness_p99_ms: 10, targets })).state).toBe('bad')
  })
})

describe('other limits', () => {
  it.each([
    [LIMITS.latency_p99_ms.good, 'good'],
    [LIMITS.latency_p99_ms.watch, 'watch'],
    [LIMITS.latency_p99_ms.watch + 1, 'bad'],
  ])('latency %s ms is %s', (p99, state) => {
    expect(judgeLatency(vitals({ latency_p99_ms: p99 })).state).toBe(state)
  })

  it('lag is watched while history is read, however small', () => {
    expect(judgeLag(vitals({ lag_s: 0, rebuilding: true }))).toMatchObject({ state: 'watch' })
    expect(judgeLag(vitals({ lag_s: 0.4 })).state).toBe('good')
    expect(judgeLag(vitals({ lag_s: 4 })).why).toContain('more than 1 s')
    expect(judgeLag(vitals({ lag_s: 40 })).why).toContain('more than 10 s')
  })

  it('a target that is away is bad and says its error', () => {
    const targets = { ingest: { up: false, url: 'http://ingest', error: 'connection refused' } }
    expect(judgeEvents(vitals({ events_per_s: 0, targets }))).toEqual({
      state: 'bad',
      why: 'ingest is away: connection refused',
    })
    expect(judgeEvents(vitals({ events_per_s: 0 })).state).toBe('quiet')
  })

  it('dead letters are judged by their share of the events', () => {
    const flowing = { events_per_s: [[1, 100]], dead_per_s: [[1, 0]] } as const
    expect(judgeDead(series(flowing), 2).state).toBe('good')
    expect(judgeDead(series({ ...flowing, dead_per_s: [[1, 0.5]] }), 2)).toEqual({
      state: 'watch',
      why: '1 in the last five minutes',
    })
    expect(judgeDead(series({ ...flowing, dead_per_s: [[1, 5]] }), 2).state).toBe('bad')
    expect(judgeDead(series({ events_per_s: [[1, 0]], dead_per_s: [[1, 1]] }), 2).state).toBe('bad')
  })

  it('strangers are no fault, memory and the bare catalogue are', () => {
    expect(judgeFallbacks(vitals({ fallback_share: 0.9, fallbacks: { popular: 0.9 } })).state).toBe('good')
    expect(judgeFallbacks(vitals({ fallback_share: 0.1, fallbacks: { last_known: 0.1 } })).state).toBe(
      'watch',
    )
    expect(judgeFallbacks(vitals({ fallback_share: 0.5, fallbacks: { last_known: 0.5 } })).state).toBe('bad')
    expect(judgeFallbacks(vitals({ fallback_share: 0.1, fallbacks: { static: 0.1 } })).state).toBe('bad')
    expect(judgeFallbacks(vitals({ fallback_share: null, fallbacks: {} })).state).toBe('quiet')
  })

  it('shed requests are judged by their share', () => {
    expect(judgeShed(0, 100, true).state).toBe('good')
    expect(judgeShed(1, 1000, true).state).toBe('watch')
    expect(judgeShed(20, 1000, true).why).toContain('more than 1 %')
    expect(judgeShed(0, 0, false).state).toBe('quiet')
  })

  it('sums a rate over its points', () => {
    expect(
      total(
        [
          [1, 3],
          [2, null],
          [3, 1],
        ],
        2,
      ),
    ).toBe(8)
  })
})
