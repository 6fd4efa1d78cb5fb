/** Vital signs for tests: all well, but for what a test says. */
import type { Series, Vitals } from './rules'

const up = (url: string) => ({ up: true, url, error: null })

export function vitals(given: Partial<Vitals> = {}): Vitals {
  return {
    events_per_s: 3.2,
    requests_per_s: 8,
    freshness_p50_ms: 9,
    freshness_p99_ms: 21,
    latency_p50_ms: 3,
    latency_p99_ms: 9,
    fallback_share: 0.1,
    lag_messages: 0,
    lag_s: 0,
    dead_per_s: 0,
    dead_total: 0,
    dead_by_reason: {},
    fallbacks: { popular: 0.1 },
    duplicates_total: 0,
    late_total: 0,
    shed_total: 0,
    cache_hit_rate: 0.25,
    dependencies: { redis: true, kafka: true },
    items: 1682,
    rebuilding: false,
    ...given,
    targets: {
      ingest: up('http://ingest/metrics'),
      recommender: up('http://recommender/metrics'),
      stream: up('http://stream/metrics'),
      outcomes: up('http://outcomes/metrics'),
      ...given.targets,
    },
  }
}

type Points = readonly (readonly [number, number | null])[]

export function series(given: { [name in keyof Series]?: Points } = {}): Series {
  const names = [
    'events_per_s',
    'requests_per_s',
    'freshness_p50_ms',
    'freshness_p99_ms',
    'latency_p50_ms',
    'latency_p99_ms',
    'fallback_share',
    'lag_messages',
    'lag_s',
    'dead_per_s',
  ] as const
  return Object.fromEntries(names.map((name) => [name, given[name] ?? []])) as unknown as Series
}
