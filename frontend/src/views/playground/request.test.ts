import { eventsOf, fieldErrorsOf, idsOf, requestOf, Unsendable } from './request'
import { PLAIN } from './settings'

describe('requestOf', () => {
  it('asks nothing of nobody', () => {
    expect(requestOf({ ...PLAIN, user: ' ' })).toBeNull()
  })

  it('leaves out what is not asked for', () => {
    expect(requestOf({ ...PLAIN, user: '7', k: '' })).toEqual({ method: 'GET', query: [['user_id', '7']] })
  })

  it('puts a user into a query, values as typed', () => {
    const setting = { ...PLAIN, user: ' 7 ', k: 'many', diversity: '0.4', exclude: '1, 2\n3', explain: true }
    expect(requestOf(setting)).toEqual({
      method: 'GET',
      query: [
        ['user_id', '7'],
        ['k', 'many'],
        ['diversity', '0.4'],
        ['explain', 'true'],
        ['exclude', '1,2,3'],
      ],
    })
  })

  it('puts a session into a body, numbers as numbers', () => {
    const setting = {
      ...PLAIN,
      who: 'session' as const,
      events: '{"item_id":"50","event_type":"click"}',
      k: '5',
      timeout_ms: 'soon',
      explain: true,
    }
    expect(requestOf(setting)).toEqual({
      method: 'POST',
      body: { events: [{ item_id: '50', event_type: 'click' }], k: 5, timeout_ms: 'soon', explain: true },
    })
  })

  it('takes a body for more excluded items than a query may name', () => {
    const exclude = Array.from({ length: 1_001 }, (_, n) => String(n)).join(',')
    expect(requestOf({ ...PLAIN, user: '7', exclude })?.method).toBe('POST')
  })
})

describe('eventsOf', () => {
  it('takes an array, one object, or one a line', () => {
    expect(eventsOf('[{"a":1},{"a":2}]')).toEqual([{ a: 1 }, { a: 2 }])
    expect(eventsOf('{"a":1}')).toEqual([{ a: 1 }])
    expect(eventsOf('{"a":1}\n\n{"a":2}\n')).toEqual([{ a: 1 }, { a: 2 }])
    expect(eventsOf('  ')).toEqual([])
  })

  it('says which line is none', () => {
    expect(() => eventsOf('{"a":1}\nnonsense')).toThrow(/line 2 is no JSON/)
    expect(() => eventsOf('[{"a":1},')).toThrow(Unsendable)
  })
})

it('finds ids between commas and blanks', () => {
  expect(idsOf(' 1,2  3,\n4 ,')).toEqual(['1', '2', '3', '4'])
})

it('brings what the service says to its field', () => {
  expect(
    fieldErrorsOf([
      { field: 'k', message: 'too many' },
      { field: 'user_id', message: 'missing' },
      { field: 'events.0.event_type', message: 'Field required' },
      { field: 'events.1.item_id', message: 'Field required' },
      { field: '', message: 'of nothing' },
    ]),
  ).toEqual({
    k: 'too many',
    user: 'missing',
    events: 'events.0.event_type: Field required; events.1.item_id: Field required',
  })
  expect(fieldErrorsOf(null)).toEqual({})
})
