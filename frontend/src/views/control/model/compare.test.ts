import { compared, pair } from './compare'
import { version } from './samples'

const ndcg = 'live.product.ndcg_at_10'

it('holds two versions beside each other', () => {
  const left = version({ metrics: { [ndcg]: 0.2, 'live.product.ndcg_at_10_half_width': 0.01 } })
  const right = version({ version: '2', metrics: { [ndcg]: 0.19 } })
  expect(compared(left, right)).toEqual([
    { label: 'NDCG@10', left: '0.2000 ± 0.0100', right: '0.1900', change: '−5.0 %', better: false },
  ])
  expect(compared(left, null)[0]).toMatchObject({ right: '–', change: null, better: null })
})

it('gives no direction to what has none', () => {
  const metrics = { 'live.product.coverage_at_10': 0.4 }
  const [row] = compared(version({ metrics }), version({ metrics: { 'live.product.coverage_at_10': 0.5 } }))
  expect(row).toMatchObject({ left: '40.0 %', right: '50.0 %', change: null })
})

it('takes the challenger, else the newest other version', () => {
  const [three, two, one] = [
    version({ version: '3' }),
    version({ version: '2', aliases: ['challenger'] }),
    version({ aliases: ['champion'] }),
  ]
  expect(pair([three, two, one])).toEqual({ champion: one, other: two })
  expect(pair([three, one])).toEqual({ champion: one, other: three })
  expect(pair([])).toEqual({ champion: null, other: null })
})
