import {
  type Act,
  actInWords,
  deeds,
  ended,
  type Happening,
  type Journey,
  outcomeOf,
  ownTime,
  STEPS,
  stepState,
  totals,
  travelled,
} from './journey'

const act: Act = { userId: 'visitor-1', itemId: '50', title: 'Star Wars', type: 'click' }
const through = (...happenings: Happening[]) => happenings.reduce(travelled, [] as readonly Journey[])
const begun: Happening = { type: 'begun', id: 1, act }
const states = (journey: Journey) => STEPS.map((step) => stepState(journey, step))

test('shows its first step as going before anything has answered', () => {
  expect(states(through(begun)[0] as Journey)).toEqual(['going', 'waiting', 'waiting', 'waiting'])
})

test('goes through all steps, each with its own time', () => {
  const [journey] = through(
    begun,
    { type: 'taken', id: 1, at: 12, logMs: 3 },
    { type: 'written', id: 1, at: 40 },
    { type: 'answered', id: 1, at: 55, outcome: 'personal' },
  ) as [Journey]
  expect(journey.at).toEqual({ accepted: 9, logged: 12, written: 40, answered: 55 })
  expect(STEPS.map((step) => ownTime(journey, step))).toEqual([9, 3, 28, 15])
  expect(ended(journey)).toBe(true)
})

test('a row that is known to be written before the 201 is here was in Kafka by then', () => {
  const [journey] = through(
    begun,
    { type: 'written', id: 1, at: 10 },
    { type: 'taken', id: 1, at: 14, logMs: 2 },
  ) as [Journey]
  expect(journey.at).toEqual({ accepted: 8, logged: 10, written: 10 })
})

test('without Server-Timing accepted and in Kafka are one moment', () => {
  const [journey] = through(begun, { type: 'taken', id: 1, at: 9 }) as [Journey]
  expect([journey.at.accepted, journey.at.logged]).toEqual([9, 9])
  expect(ownTime(journey, 'logged')).toBeNull()
})

test('fails at the step that it had come to, and nothing happens to it after', () => {
  const [journey] = through(
    begun,
    { type: 'taken', id: 1, at: 5 },
    { type: 'failed', id: 1, words: 'not written within 10 s' },
    { type: 'answered', id: 1, at: 99, outcome: 'changed' },
  ) as [Journey]
  expect(states(journey)).toEqual(['done', 'done', 'failed', 'waiting'])
  expect(journey.at.answered).toBeUndefined()
})

test('acts under way at once do not mix; totals come oldest first', () => {
  const journeys = through(
    begun,
    { type: 'begun', id: 2, act: { ...act, itemId: '51' } },
    { type: 'answered', id: 2, at: 30, outcome: 'same' },
    { type: 'answered', id: 1, at: 80, outcome: 'changed' },
  )
  expect(journeys.map(({ id }) => id)).toEqual([2, 1])
  expect(totals(journeys)).toEqual([80, 30])
})

test('what an answer came to', () => {
  const popular = { fallback: 'popular', ids: ['a', 'b'] }
  expect(outcomeOf(popular, { fallback: null, ids: ['a', 'b'] })).toBe('personal')
  expect(outcomeOf(popular, { fallback: 'popular', ids: ['b', 'a'] })).toBe('changed')
  expect(outcomeOf(popular, popular)).toBe('same')
})

test('what has been done to an item: the last rating counts, a failed act does not', () => {
  const rate = (id: number, value: number): Happening => ({
    type: 'begun',
    id,
    act: { ...act, type: 'rate', value },
  })
  const done = deeds(
    through(
      rate(1, 2),
      rate(2, 5),
      { type: 'begun', id: 3, act: { ...act, type: 'purchase' } },
      { type: 'failed', id: 3, words: 'x' },
    ),
  )
  expect(done.get('50')).toEqual({ types: new Set(['rate']), rating: 5 })
  expect(actInWords({ ...act, type: 'rate', value: 4 })).toBe('Rated Star Wars 4 of 5')
})
