import { contributionsOf, featureInWords, signed } from './contributions'

test('the largest first whatever their sign, the others last', () => {
  const found = contributionsOf({ other: 9, trending_score: 0.5, rank_fusion: -2, retriever_score: 1 })
  expect(found.map(({ feature }) => feature)).toEqual([
    'rank_fusion',
    'retriever_score',
    'trending_score',
    'other',
  ])
  expect(found.map(({ share }) => Number(share.toFixed(3)))).toEqual([-0.222, 0.111, 0.056, 1])
})

test('no contributions are an empty list, zeros no division by zero', () => {
  expect(contributionsOf({})).toEqual([])
  expect(contributionsOf({ a: 0 })[0]?.share).toBe(0)
})

test('a feature that nobody put into words is spelled out', () => {
  expect(featureInWords('item_log_7d')).toBe('item 7d')
  expect([signed(1.487), signed(-0.5389)]).toEqual(['+1.49', '−0.54'])
})
