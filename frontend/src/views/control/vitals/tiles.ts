/** The vital signs in their order: what each tile shows, draws and judges. Entry point of nothing: data only. */
import { fixed, percent, short } from '../numbers'
import { type Curve, growth, lastKnown } from './curves'
import {
  FRESHNESS_PROMISE_MS,
  type Judgement,
  judgeCache,
  judgeDead,
  judgeEvents,
  judgeFallbacks,
  judgeFreshness,
  judgeLag,
  judgeLatency,
  judgeRequests,
  judgeShed,
  type Series,
  type Vitals,
} from './rules'

export interface Line {
  name: string
  curve: Curve
}

export interface Tile {
  id: string
  label: string
  /** What it is, for a person who has never seen it. */
  about: string
  value: string
  unit: string
  /** A second figure, with its unit. */
  beside: string | null
  lines: Line[]
  /** A line that the curves are held against. */
  target: { value: number; label: string } | null
  format: (value: number) => string
  judgement: Judgement
}

/** What the page has seen of figures that come without a curve. */
export interface Traces {
  cache: Curve
  shed: Curve
}

export const EMPTY: Traces = { cache: [], shed: [] }

const NONE = '–'
const ms = (value: number) => `${short(value)} ms`
const perSecond = (value: number) => `${short(value)} / s`

const whole = (value: number | null) => (value === null ? NONE : fixed(value, 0))

/** A figure of moments with events only: that of the last such moment, and how long ago it was. */
function recent(now: number | null, curve: Curve): { value: number | null; ago: string | null } {
  if (now !== null) return { value: now, ago: null }
  const last = lastKnown(curve)
  return last
    ? { value: last.value, ago: `${fixed(last.age_ms / 1_000, 0)} s ago` }
    : { value: null, ago: null }
}

function quantiles(now: Vitals, series: Series, name: 'freshness' | 'latency') {
  const p50 = recent(now[`${name}_p50_ms`], series[`${name}_p50_ms`])
  const p99 = recent(now[`${name}_p99_ms`], series[`${name}_p99_ms`])
  const beside = p99.value === null ? null : `p99 ${ms(p99.value)}${p99.ago ? `, ${p99.ago}` : ''}`
  return {
    value: p50.value === null ? NONE : short(p50.value),
    unit: p50.value === null ? '' : 'ms p50',
    beside,
    lines: [
      { name: 'p50', curve: series[`${name}_p50_ms`] },
      { name: 'p99', curve: series[`${name}_p99_ms`] },
    ],
    format: ms,
  }
}

const byName = (shares: Record<string, number>) =>
  Object.entries(shares)
    .sort(([, a], [, b]) => b - a)
    .map(([name, share]) => `${name.replaceAll('_', ' ')} ${percent(share, 0)}`)
    .join(', ')

export function tiles(now: Vitals, series: Series, traces: Traces, every_s: number): Tile[] {
  const requests = series.requests_per_s.reduce((sum, [, value]) => sum + (value ?? 0) * every_s, 0)
  const fallback = recent(now.fallback_share, series.fallback_share)
  return [
    {
      id: 'events',
      label: 'Events',
      about: 'Acts that the broker has acknowledged',
      value: now.events_per_s === null ? NONE : short(now.events_per_s),
      unit: '/ s',
      beside: now.duplicates_total ? `${whole(now.duplicates_total)} duplicates dropped` : null,
      lines: [{ name: 'events', curve: series.events_per_s }],
      target: null,
      format: perSecond,
      judgement: judgeEvents(now),
    },
    {
      id: 'freshness',
      label: 'Freshness',
      about: "From an act's entry into the log to the person's new row in Redis",
      ...quantiles(now, series, 'freshness'),
      target: { value: FRESHNESS_PROMISE_MS, label: `promise ${FRESHNESS_PROMISE_MS} ms` },
      judgement: judgeFreshness(now),
    },
    {
      id: 'lag',
      label: 'Lag',
      about: 'Messages in the log that the stream has not read yet',
      value: whole(now.lag_messages),
      unit: now.lag_messages === 1 ? 'message' : 'messages',
      beside: now.lag_s === null ? null : `${short(now.lag_s)} s behind`,
      lines: [{ name: 'messages', curve: series.lag_messages }],
      target: null,
      format: (value) => `${short(value)} messages`,
      judgement: judgeLag(now),
    },
    {
      id: 'dead',
      label: 'Dead letters',
      about:
        'Messages that could not be used; they are kept with the reason. Counted since the stream started',
      value: whole(now.dead_total),
      unit: 'in all',
      beside:
        Object.entries(now.dead_by_reason)
          .map(([reason, count]) => `${reason} ${whole(count)}`)
          .join(', ') || (now.late_total ? `${whole(now.late_total)} came too late to count` : null),
      lines: [{ name: 'dead letters', curve: series.dead_per_s }],
      target: null,
      format: perSecond,
      judgement: judgeDead(series, every_s),
    },
    {
      id: 'requests',
      label: 'Requests',
      about: 'Requests for recommendations',
      value: now.requests_per_s === null ? NONE : short(now.requests_per_s),
      unit: '/ s',
      beside: now.items === null ? null : `from ${whole(now.items)} items`,
      lines: [{ name: 'requests', curve: series.requests_per_s }],
      target: null,
      format: perSecond,
      judgement: judgeRequests(now),
    },
    {
      id: 'latency',
      label: 'Latency',
      about: 'Time of a request for recommendations within the service',
      ...quantiles(now, series, 'latency'),
      target: null,
      judgement: judgeLatency(now),
    },
    {
      id: 'fallbacks',
      label: 'Fallbacks',
      about: 'Lists that were not made from the person’s own features; by name, of the last five minutes',
      value: fallback.value === null ? NONE : fixed(fallback.value * 100, fallback.value < 0.1 ? 1 : 0),
      unit: fallback.value === null ? '' : '% of lists',
      beside: byName(now.fallbacks) || null,
      lines: [{ name: 'fallbacks', curve: series.fallback_share }],
      target: null,
      format: (value) => percent(value),
      judgement: judgeFallbacks(now),
    },
    {
      id: 'cache',
      label: 'Cache hits',
      about: 'Requests of the last five minutes that were answered with the kept list of the same question',
      value: now.cache_hit_rate === null ? NONE : fixed(now.cache_hit_rate * 100, 1),
      unit: now.cache_hit_rate === null ? '' : '%',
      beside: null,
      lines: [{ name: 'hits', curve: traces.cache }],
      target: null,
      format: (value) => percent(value),
      judgement: judgeCache(now),
    },
    {
      id: 'shed',
      label: 'Turned away',
      about: 'Requests answered by 429 because too many waited. Counted since the recommender started',
      value: whole(now.shed_total),
      unit: 'in all',
      beside: null,
      lines: [{ name: 'turned away', curve: traces.shed }],
      target: null,
      format: (value) => `${fixed(value, 0)} in all`,
      judgement: judgeShed(growth(traces.shed), requests, now.shed_total !== null),
    },
  ]
}
