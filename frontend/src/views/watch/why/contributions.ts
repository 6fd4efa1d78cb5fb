/** What moved an item's score, ready to be drawn and read. */

export interface Contribution {
  feature: string
  /** The feature in words. */
  label: string
  /** How much it moved the score against an average candidate. */
  value: number
  /** `value` as a share of the largest, -1 to 1. */
  share: number
}

const LABELS: Record<string, string> = {
  rank_fusion: 'All sources together',
  fusion_score: 'Learned mix of the sources',
  retriever_score: 'Fits your taste now',
  retriever_reciprocal_rank: 'Place in the taste list',
  item_to_item_score: 'Goes with what you met',
  item_to_item_reciprocal_rank: 'Place in the goes-with list',
  long_term_score: 'Fits your lasting taste',
  long_term_reciprocal_rank: 'Place in the lasting-taste list',
  trending_score: 'Rising',
  trending_reciprocal_rank: 'Place in the rising list',
  popular_score: 'Popular',
  popular_reciprocal_rank: 'Place in the popular list',
  today_score: 'Sought today',
  ever_score: 'Sought ever',
  category_affinity: 'Your liking for its categories',
  last_item_similarity: 'Like the last item you met',
  years_from_recent: 'Years from what you met',
  value_from_mean: 'Its mean rating against yours',
  other: 'All others',
}

/** A feature in words: its own, or its name spelled out. */
export function featureInWords(feature: string): string {
  return (
    LABELS[feature] ??
    feature
      .replace(/^item_log_/, 'item ')
      .replace(/^user_log_/, 'user ')
      .replaceAll('_', ' ')
  )
}

/** The largest first, whatever their sign; what is left (`other`) last. */
export function contributionsOf(moved: Readonly<Record<string, number>>): Contribution[] {
  const largest = Math.max(...Object.values(moved).map(Math.abs), Number.MIN_VALUE)
  return Object.entries(moved)
    .map(([feature, value]) => ({ feature, value, label: featureInWords(feature), share: value / largest }))
    .sort(
      (a, b) =>
        Number(a.feature === 'other') - Number(b.feature === 'other') ||
        Math.abs(b.value) - Math.abs(a.value),
    )
}

/** With its sign, two digits: `+1.49`, `−0.54`. */
export function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(2)}`
}
