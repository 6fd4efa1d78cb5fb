import { type Both, differing, PLAIN, queryOf, settingsOf } from './settings'

const both: Both = {
  a: { ...PLAIN, user: '293', k: '12', explain: true, exclude: '1, 2' },
  b: {
    who: 'session',
    user: '',
    events: '[{"item_id": "50", "event_type": "click"}]\n',
    k: '',
    category: 'Film-Noir & more',
    exclude: '',
    context_item: '50',
    diversity: '0.4',
    max_per_category: '2',
    explain: false,
    timeout_ms: '20',
  },
}

it('comes back from the address', () => {
  expect(settingsOf(queryOf(both))).toEqual(both)
})

it('names only what is not plain', () => {
  expect(queryOf({ a: PLAIN, b: PLAIN })).toBe('')
  expect(queryOf({ a: { ...PLAIN, user: '7' }, b: { ...PLAIN, explain: true } })).toBe('a.user=7&b.explain=1')
})

it('takes any address', () => {
  const found = settingsOf('a.who=nobody&a.explain=yes&c.k=3&b.k=abc&junk')
  expect(found.a).toEqual(PLAIN)
  expect(found.b).toEqual({ ...PLAIN, k: 'abc' })
})

it('tells what differs', () => {
  expect(differing({ a: PLAIN, b: { ...PLAIN, k: '3', diversity: '0.5' } })).toEqual(['k', 'diversity'])
  expect(differing({ a: PLAIN, b: PLAIN })).toEqual([])
})
