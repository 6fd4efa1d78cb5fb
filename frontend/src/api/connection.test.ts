import { Connection, PROBES, partAway, patience } from './connection'

test('an error is about the part that is away, or about none', () => {
  expect(partAway('recommender', 0, 'unreachable')).toBe('page')
  expect(partAway('recommender', 503, 'unreachable')).toBe('recommender')
  expect(partAway('ingest', 503, 'unavailable')).toBe('log')
  expect(partAway('console', 503, 'unavailable', '/items')).toBe('store')
  expect(partAway('console', 503, 'unavailable', '/drift')).toBeNull()
  expect(partAway('recommender', 422, 'invalid')).toBeNull()
  expect(partAway('ingest', 429, 'too_many_requests')).toBeNull()
})

test('tries come ever more slowly, but never more than four seconds apart', () => {
  expect([0, 1, 2, 3, 9].map(patience)).toEqual([500, 1_000, 2_000, 4_000, 4_000])
})

test('a lost part is asked until it answers, and then its return is told', async () => {
  vi.useFakeTimers()
  const answers = [false, false, true]
  const asked: string[] = []
  const made = new Connection(async (path) => {
    asked.push(path)
    return answers.shift() as boolean
  })
  const back: string[] = []
  made.onRecovery((part) => back.push(part))
  made.lost('ingest', 'gone')
  made.lost('ingest', 'gone again')
  expect(made.current().map(({ message }) => message)).toEqual(['gone'])
  await vi.advanceTimersByTimeAsync(500 + 1_000)
  expect(back).toEqual([])
  await vi.advanceTimersByTimeAsync(2_000)
  expect(asked).toEqual([PROBES.ingest, PROBES.ingest, PROBES.ingest])
  expect(back).toEqual(['ingest'])
  expect(made.current()).toEqual([])
  vi.useRealTimers()
})
