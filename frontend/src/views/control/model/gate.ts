/** The gate's report in words. */
import type { components } from '@/api/schema/console'
import { fixed } from '../numbers'

export type Version = components['schemas']['ModelVersion']
export type GateReport = components['schemas']['GateReport']
export type Ratio = components['schemas']['GateRatio']

/** What an interval of a ratio says: on which side of 1 it lies. */
export function side(ratio: Ratio): 'better' | 'worse' | 'no clear difference' | 'not judged' {
  if (ratio.low === null || ratio.high === null) return 'not judged'
  if (ratio.low > 1) return 'better'
  return ratio.high < 1 ? 'worse' : 'no clear difference'
}

export function ratioWords(ratio: Ratio): string {
  if (ratio.ratio === null) return 'not judged'
  const range =
    ratio.low === null || ratio.high === null
      ? ''
      : ` (95 % from ${fixed(ratio.low, 3)} to ${fixed(ratio.high, 3)})`
  return `${fixed(ratio.ratio, 3)} times the champion's${range}`
}

/** A request's median time beside the champion's; null where none was measured. */
export function latencyWords(numbers: GateReport['numbers']): string | null {
  const { challenger_ms: ours, champion_ms: theirs } = numbers
  if (ours == null) return null
  if (!theirs) return `${fixed(ours, 2)} ms a request`
  return `${fixed(ours, 2)} ms a request, the champion ${fixed(theirs, 2)} ms (${fixed(ours / theirs, 2)} times)`
}

/** The main finding in one line. */
export function gateWords(report: GateReport): string {
  const all = report.ratios.all
  const found = all
    ? `NDCG@10 ${ratioWords(all)}`
    : report.checks.find((check) => check.name.startsWith('better than'))?.detail
  const head = `${report.passed ? 'Passed' : 'Refused'} against ${report.against}`
  return found ? `${head}: ${found}` : head
}

/** Names of the checks that failed, for a row. */
export function failed(report: GateReport): string[] {
  return report.checks.filter((check) => !check.passed).map((check) => check.name)
}
