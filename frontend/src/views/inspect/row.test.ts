import { busiestType, countsOf, type Inspected, memoryOf, recentOf, streamedView, valuesOf } from './row'

const values = {
  event_count: 3,
  last_event_us: 3_000_000,
  click_1h: 1.5,
  click_1d: 1.9,
  view_1h: 0,
  view_1d: 0.5,
  recent_items: ['a', 'b', 'c'],
  recent_types: ['click', 'view', 'click'],
  recent_us: [1_000_000, 2_000_000, 3_000_000],
  recent_values: [0, 0, 4],
}

it('sorts counts by type and half-life', () => {
  expect(countsOf(values, ['view', 'click', 'rate'], ['1h', '1d'])).toEqual({
    view: { '1h': 0, '1d': 0.5 },
    click: { '1h': 1.5, '1d': 1.9 },
  })
})

it('gives the last events newest first', () => {
  expect(recentOf(values)).toEqual([
    { itemId: 'c', type: 'click', atMs: 3_000, value: 4 },
    { itemId: 'b', type: 'view', atMs: 2_000, value: 0 },
    { itemId: 'a', type: 'click', atMs: 1_000, value: 0 },
  ])
  expect(recentOf({})).toEqual([])
})

describe('memoryOf', () => {
  const recent = recentOf(values)

  it('is whole when the row keeps every event', () => {
    expect(memoryOf(values, recent, 'click')).toEqual({
      asOfMs: 3_000,
      timesMs: [1_000, 3_000],
      completeFromMs: Number.NEGATIVE_INFINITY,
      forgotten: 0,
    })
  })

  it('begins with the oldest kept event when there were more', () => {
    expect(memoryOf({ ...values, event_count: 4 }, recent, 'view')).toMatchObject({
      completeFromMs: 1_000,
      forgotten: 1,
    })
  })

  it('begins with the newest event for a row that keeps none', () => {
    expect(memoryOf({ event_count: 9, last_event_us: 5_000_000 }, [], 'view').completeFromMs).toBe(5_000)
  })
})

it('knows what there is most to see of', () => {
  expect(busiestType(countsOf(values, ['view', 'click'], ['1h', '1d']))).toBe('click')
  expect(busiestType({})).toBeNull()
})

it('finds the streamed view of the entity', () => {
  const row = { event_timestamp: null, age_ms: null, written_at: null, ttl_s: null }
  const pair = {
    name: 'event_count',
    dtype: 'int64',
    description: '',
    online: 7,
    feast: 7,
    equal: true,
  } as const
  const inspected: Inspected = {
    entity: 'item',
    id: '1',
    equal: true,
    sdk: { state: 'ready', message: null, took_ms: 1 },
    views: [
      { ...row, view: 'item_catalog', features: [] },
      { ...row, view: 'item_features', features: [pair] },
    ],
  }
  expect(streamedView(inspected)?.view).toBe('item_features')
  expect(valuesOf(inspected, 'item_features')).toEqual({ event_count: 7 })
  expect(valuesOf(inspected, 'nothing')).toEqual({})
})
