/** When a vital sign is good, to be watched, or bad, and why, in words. All limits of the control room are here. */
import type { components } from '@/api/schema/console'

export type Vitals = components['schemas']['Vitals']
export type Series = components['schemas']['VitalSeries']
export type State = 'good' | 'watch' | 'bad' | 'quiet'

/** A state and its reason, a short sentence without a full stop. */
export interface Judgement {
  state: State
  why: string
}

/** From an event's entry into the log to its row in Redis: what the system promises, in ms. */
export const FRESHNESS_PROMISE_MS = 50

/** Up to `good` all is well; above `watch` something is wrong. */
export const LIMITS = {
  freshness_p99_ms: { good: FRESHNESS_PROMISE_MS, watch: 200 },
  latency_p99_ms: { good: 25, watch: 100 },
  lag_s: { good: 1, watch: 10 },
  /** Of all events of five minutes. */
  dead_share: { good: 0, watch: 0.01 },
  /** Of all requests of five minutes. */
  shed_share: { good: 0, watch: 0.01 },
  /** Lists that were answered from memory because Redis gave no answer in time. */
  last_known_share: { good: 0.01, watch: 0.2 },
} as const

const judged = (state: State, why: string): Judgement => ({ state, why })

function within(value: number, limit: { good: number; watch: number }): State {
  return value <= limit.good ? 'good' : value <= limit.watch ? 'watch' : 'bad'
}

/** A rate of a process that must be there: bad when it is away, quiet when nothing comes. */
function rate(vitals: Vitals, name: string, value: number | null, none: string, some: string): Judgement {
  const target = vitals.targets[name]
  if (target && !target.up) return judged('bad', `${name} is away: ${target.error ?? 'no answer'}`)
  if (value === null) return judged('quiet', 'not measured yet')
  return value > 0 ? judged('good', some) : judged('quiet', none)
}

export function judgeEvents(vitals: Vitals): Judgement {
  return rate(
    vitals,
    'ingest',
    vitals.events_per_s,
    'nobody acts at the moment',
    'acknowledged by the broker',
  )
}

export function judgeRequests(vitals: Vitals): Judgement {
  return rate(vitals, 'recommender', vitals.requests_per_s, 'nobody asks at the moment', 'being answered')
}

export function judgeFreshness(vitals: Vitals): Judgement {
  const p99 = vitals.freshness_p99_ms
  if (vitals.targets.stream && !vitals.targets.stream.up)
    return judged('bad', 'the stream is away: no act becomes a feature')
  if (p99 === null) return judged('quiet', 'no event in the last 10 s')
  const state = within(p99, LIMITS.freshness_p99_ms)
  const promise = `the ${FRESHNESS_PROMISE_MS} ms promise`
  if (state === 'good') return judged(state, `p99 within ${promise}`)
  return judged(
    state,
    state === 'watch'
      ? `p99 over ${promise}`
      : `p99 over ${p99 / FRESHNESS_PROMISE_MS >= 10 ? 'ten' : 'four'} times ${promise}`,
  )
}

export function judgeLatency(vitals: Vitals): Judgement {
  const p99 = vitals.latency_p99_ms
  if (p99 === null) return judged('quiet', 'no request in the last 10 s')
  const { good, watch } = LIMITS.latency_p99_ms
  const state = within(p99, LIMITS.latency_p99_ms)
  if (state === 'good') return judged(state, `p99 within ${good} ms`)
  return judged(state, `p99 over ${state === 'watch' ? good : watch} ms`)
}

export function judgeLag(vitals: Vitals): Judgement {
  if (vitals.rebuilding)
    return judged('watch', 'the stream still reads history: features are incomplete until it is done')
  if (vitals.lag_s === null) return judged('quiet', 'not measured')
  const state = within(vitals.lag_s, LIMITS.lag_s)
  if (state === 'good')
    return judged(state, vitals.lag_messages ? 'the stream keeps up' : 'the stream has read everything')
  return judged(
    state,
    `the stream is more than ${state === 'watch' ? LIMITS.lag_s.good : LIMITS.lag_s.watch} s behind`,
  )
}

/** Sum of a rate's curve: how many there were, points being `every_s` apart. */
export function total(curve: readonly (readonly [number, number | null])[], every_s: number): number {
  return curve.reduce((sum, [, value]) => sum + (value ?? 0) * every_s, 0)
}

export function judgeDead(series: Series, every_s: number): Judgement {
  const dead = total(series.dead_per_s, every_s)
  if (dead === 0) return judged('good', 'none in the last five minutes')
  const share = dead / Math.max(dead, total(series.events_per_s, every_s))
  const count = `${Math.max(1, Math.round(dead)).toLocaleString('en')} in the last five minutes`
  const state = within(share, LIMITS.dead_share)
  return judged(state, state === 'bad' ? `${count}, more than 1 % of the events` : count)
}

export function judgeFallbacks(vitals: Vitals): Judgement {
  const { last_known = 0, static: fixed = 0, ...strangers } = vitals.fallbacks
  if (vitals.fallback_share === null && Object.keys(vitals.fallbacks).length === 0)
    return judged('quiet', 'no list in the last 10 s')
  if (fixed > 0) return judged('bad', 'some lists are the catalogue in its order: nothing was counted')
  const state = within(last_known, LIMITS.last_known_share)
  if (state !== 'good') return judged(state, 'Redis is slow or away: lists come from memory')
  const unknown = Object.values(strangers).reduce((sum, share) => sum + share, 0)
  return judged('good', unknown > 0 ? 'only for visitors of whom little is known' : 'every list was personal')
}

export function judgeCache(vitals: Vitals): Judgement {
  if (vitals.cache_hit_rate === null) return judged('quiet', 'no request in the last five minutes')
  return judged('good', 'no limit: a hit is never older than the last act')
}

/** By what was shed while this page looked: the services only count since their start. */
export function judgeShed(shed: number, requests: number, known: boolean): Judgement {
  if (!known) return judged('quiet', 'not measured')
  if (shed === 0) return judged('good', 'none while this page looked')
  const state = within(shed / Math.max(shed, requests), LIMITS.shed_share)
  const count = `${shed.toLocaleString('en')} turned away while this page looked`
  return judged(state, state === 'bad' ? `${count}: more than 1 % of the requests` : count)
}
