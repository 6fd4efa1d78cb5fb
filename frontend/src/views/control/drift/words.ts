/** What a look for drift found, ordered and in words. */
import type { components } from '@/api/schema/console'
import type { State } from '../vitals/rules'

export type Report = components['schemas']['DriftReport']
export type Feature = components['schemas']['DriftFeature']

/** A feature's bar: its distance in units of its own threshold; from 1 on it has drifted. */
export interface Bar extends Feature {
  name: string
  times: number | null
}

/** Bars end here, in thresholds; the number beside says what is longer. */
export const LONGEST = 3

/** All features, those that count first, the farthest first. */
export function bars(features: Report['features']): Bar[] {
  return Object.entries(features)
    .map(([name, feature]) => ({ ...feature, name, times: timesOf(feature) }))
    .sort(
      (a, b) =>
        Number(b.counts) - Number(a.counts) ||
        (b.times ?? -1) - (a.times ?? -1) ||
        a.name.localeCompare(b.name),
    )
}

function timesOf({ distance, threshold }: Feature): number | null {
  return distance === null || !threshold ? null : distance / threshold
}

export function stateOf(verdict: Report['verdict']): State {
  return ({ 'no drift': 'good', drift: 'watch', 'bad data': 'bad', 'not judged': 'quiet' } as const)[verdict]
}

export function verdictWords(verdict: Report['verdict']): string {
  return {
    'no drift': 'The world is as the champion learned it',
    drift: 'The world has moved away from what the champion learned',
    'bad data': 'The data are broken: to be mended, not to be learned',
    'not judged': 'Too little to judge by',
  }[verdict]
}

/** What the report did about it. */
export function trainingWords(report: Report): string {
  if (report.training === 'here') return 'Trained in the same process.'
  if (report.training) return `Started a training: Prefect run ${report.training}.`
  return report.verdict === 'bad data' ? 'Nothing was trained.' : 'No training was started.'
}
