/** A release on trial: how far it is, and what an act by hand will do. */
import type { components } from '@/api/schema/recommender'
import { percent } from '../numbers'

export type Served = components['schemas']['ModelAnswer']
export type Canary = components['schemas']['CanaryAnswer']

/** Seconds until a moment, never negative. */
export function secondsLeft(until: string, now_ms: number): number {
  return Math.max(0, (Date.parse(until) - now_ms) / 1_000)
}

export function timeLeft(until: string, now_ms: number): string {
  const left = Math.ceil(secondsLeft(until, now_ms))
  if (left === 0) return 'about to serve everybody'
  if (left < 60) return `${left} s left`
  const minutes = Math.floor(left / 60)
  return minutes < 60
    ? `${minutes} min ${left % 60} s left`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min left`
}

/** How much of a trial is over, 0 to 1. */
export function progress(canary: Canary, now_ms: number): number {
  const since = Date.parse(canary.since)
  const lasts = Date.parse(canary.until) - since
  return lasts > 0 ? Math.min(1, Math.max(0, (now_ms - since) / lasts)) : 1
}

/** How people call a release: its number in the registry, or its bundle when it comes from a folder. */
export function named(
  release: { registered_version: string | null; model_version: string | null } | null,
): string {
  if (!release) return 'none'
  return release.registered_version
    ? `version ${release.registered_version}`
    : (release.model_version ?? 'unknown')
}

/** What a promotion will do, step by step. */
export function promoteSteps(version: string, served: Served): string[] {
  const moves = `The champion alias moves to version ${version}; it names ${served.registered_version ?? 'none'} now.`
  if (version === served.previous?.registered_version)
    return [
      moves,
      `Version ${version} is the way back and in memory: it serves everybody at once, without another trial.`,
      `${capital(named(served))} becomes the way back.`,
    ]
  return [
    moves,
    'Each recommender loads it aside, checks its hashes and features, and lets it answer made-up visitors.',
    'Then a share of the users (FRESHET_CANARY_SHARE) is answered by it for a while (FRESHET_CANARY_S).',
    `If nothing is wrong it serves everybody, and ${named(served)} stays in memory as the way back. If an answer is bad it is left within a second, by itself.`,
  ]
}

/** What a rollback will do, step by step. Only with a canary or a previous release there is one. */
export function rollbackSteps(served: Served): string[] {
  const told =
    'The registry and the other processes are told; the reason stands on the version that was left.'
  if (served.canary)
    return [
      `The trial of ${named(served.canary)} ends at once; its ${percent(served.canary.share, 0)} of the users are answered by ${named(served)} again.`,
      'The champion alias moves back.',
      told,
    ]
  return [
    `${capital(named(served.previous))}, which is in memory, serves everybody again at once. No request fails.`,
    `The champion alias moves back from ${named(served)}.`,
    told,
  ]
}

/** Why nothing can be rolled back; null when something can. */
export function noWayBack(served: Served): string | null {
  if (served.canary || served.previous) return null
  return 'No release before this one is in memory: there is nothing to go back to.'
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
