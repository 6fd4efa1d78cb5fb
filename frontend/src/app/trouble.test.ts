import { troubles } from './trouble'

const titles = (...given: Parameters<typeof troubles>) => troubles(...given).map(({ title }) => title)

test('nothing is wrong while all are up', () => {
  expect(titles([], { redis: true, kafka: true })).toEqual([])
})

test('without the page’s server nothing else can be known', () => {
  expect(titles(['store', 'page'], { redis: false })).toEqual(['The page’s own server is away'])
})

test('what the services stand on is told once, whoever noticed', () => {
  expect(titles(['store'], { redis: false })).toEqual(['The feature store (Redis) is away'])
})

test('no word on the log while ingest itself is away', () => {
  expect(titles(['ingest', 'log'], { kafka: false })).toEqual(['The ingest service is away'])
})

test('what only the console can see is told too', () => {
  expect(titles([], { recommender: false, stream: false, redis: true })).toEqual([
    'The recommender is away',
    'The stream is away',
  ])
})
