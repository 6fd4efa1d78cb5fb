// @vitest-environment jsdom
import { recommenderAddress } from './addresses'

it('names the service itself on the machine where it runs', () => {
  const page = new URL('http://localhost:8080/playground')
  expect(recommenderAddress(page, 'http://127.0.0.1:8001/metrics')).toBe('http://127.0.0.1:8001')
})

it('goes through the page from elsewhere, and while nothing is known', () => {
  const page = new URL('https://freshet.example/inspect')
  expect(recommenderAddress(page, 'http://recommender:8001/metrics')).toBe(
    'https://freshet.example/api/recommender',
  )
  expect(recommenderAddress(page, 'http://127.0.0.1:8001/metrics')).toBe(
    'https://freshet.example/api/recommender',
  )
  expect(recommenderAddress(new URL('http://localhost:8080/'), undefined)).toBe(
    'http://localhost:8080/api/recommender',
  )
})
