/** Two versions beside each other, metric by metric. */
import { fixed, percent } from '../numbers'
import type { Version } from './gate'

interface Metric {
  label: string
  name: string
  halfWidth?: string
  isShare?: boolean
  /** Neither more nor less is better. */
  isNeutral?: boolean
}

const OF = 'live.product'

/** Offline figures of what is served, each on its version's own last part of time. */
export const METRICS: Metric[] = [
  { label: 'NDCG@10', name: `${OF}.ndcg_at_10`, halfWidth: `${OF}.ndcg_at_10_half_width` },
  { label: 'NDCG@10, cold users', name: `${OF}.cold.ndcg_at_10` },
  { label: 'Hit rate@10', name: `${OF}.hr_at_10`, isShare: true },
  { label: 'Recall@10', name: `${OF}.recall_at_10`, isShare: true },
  { label: 'Recall@50', name: `${OF}.recall_at_50`, isShare: true },
  { label: 'Catalogue shown in first tens', name: `${OF}.coverage_at_10`, isShare: true, isNeutral: true },
  { label: 'Recent popularity’s NDCG@10', name: 'live.recent_popularity.ndcg_at_10', isNeutral: true },
]

export interface Compared {
  label: string
  left: string
  right: string
  /** Right against left, in words; null where one is missing or no direction is better. */
  change: string | null
  better: boolean | null
}

export function compared(left: Version, right: Version | null): Compared[] {
  return METRICS.filter(({ name }) => name in left.metrics || (right && name in right.metrics)).map(
    (metric) => {
      const [a, b] = [left.metrics[metric.name], right?.metrics[metric.name]]
      const known = a !== undefined && b !== undefined && a !== 0 && !metric.isNeutral
      const change = known ? (b as number) / (a as number) - 1 : null
      const text = change === null ? null : `${change > 0 ? '+' : ''}${percent(change)}`
      return {
        label: metric.label,
        left: written(left, metric),
        right: right ? written(right, metric) : '–',
        change: text,
        better: change === null || Math.abs(change) < 0.0005 ? null : change > 0,
      }
    },
  )
}

function written(version: Version, { name, halfWidth, isShare }: Metric): string {
  const value = version.metrics[name]
  if (value === undefined) return '–'
  const text = isShare ? percent(value) : fixed(value, 4)
  const half = halfWidth === undefined ? undefined : version.metrics[halfWidth]
  return half === undefined ? text : `${text} ± ${fixed(half, 4)}`
}

/** The champion and the version to hold beside it: the challenger, else the newest other one. */
export function pair(versions: readonly Version[]): { champion: Version | null; other: Version | null } {
  const champion = versions.find((each) => each.aliases.includes('champion')) ?? null
  const others = versions.filter((each) => each !== champion)
  return { champion, other: others.find((each) => each.aliases.includes('challenger')) ?? others[0] ?? null }
}
