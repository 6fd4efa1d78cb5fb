import { render, screen } from '@testing-library/react'
import { Journey } from './Journey'
import type { Journey as Travelled } from './journey'

const act = { userId: 'visitor-1', itemId: '50', title: 'Star Wars', type: 'click' as const }
const done: Travelled = {
  id: 2,
  act,
  at: { accepted: 4, logged: 6, written: 22, answered: 31 },
  outcome: 'personal',
  trouble: null,
}

test('before any act it says what to do', () => {
  render(<Journey journeys={[]} />)
  expect(screen.getByText(/Click a card/)).toBeInTheDocument()
  expect(screen.queryByText('Your last acts')).toBeNull()
})

test('every step has its time, and the whole too', () => {
  render(<Journey journeys={[done]} />)
  const steps = screen.getAllByRole('listitem').slice(0, 4)
  expect(steps.map((step) => step.textContent?.match(/[\d.]+ ms/)?.[0])).toEqual([
    '4.0 ms',
    '2.0 ms',
    '16 ms',
    '9.0 ms',
  ])
  expect(steps[3]).toHaveTextContent('the list is personal now')
  expect(screen.getByText('Clicked Star Wars')).toBeInTheDocument()
})

test('an act that is lost on its way says where and why', () => {
  render(
    <Journey
      journeys={[{ ...done, at: { accepted: 4, logged: 6 }, outcome: null, trouble: 'Redis is away' }]}
    />,
  )
  expect(screen.getByRole('alert')).toHaveTextContent('Redis is away')
  expect(screen.getAllByRole('listitem')[2]).toHaveTextContent('failed')
})
