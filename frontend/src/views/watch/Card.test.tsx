import { render, screen } from '@testing-library/react'
import userEvent from '@testing-library/user-event'
import type { ItemCard } from '@/api/hooks'
import { Card } from './Card'

const shown = { item_id: '50', title: 'Star Wars (1977)', score: 1, source: 'trending' }
const item: ItemCard = {
  item_id: '50',
  title: 'Star Wars (1977)',
  categories: ['Action', 'War'],
  published: '1977-01-01',
  price: null,
  in_stock: true,
  event_count: 9,
  mean_value: 4.4,
}

test('shows title, year, categories and source', () => {
  render(<Card shown={shown} item={item} onAct={() => {}} />)
  expect(screen.getByRole('article', { name: 'Star Wars (1977)' })).toHaveTextContent(
    /Star Wars.*1977 · Action, War.*rising/,
  )
})

test('every act is a button with a name, by keyboard too', async () => {
  const onAct = vi.fn()
  const onWhy = vi.fn()
  render(<Card shown={shown} item={item} onAct={onAct} onWhy={onWhy} />)
  const person = userEvent.setup()
  await person.tab()
  expect(screen.getByRole('button', { name: 'Click Star Wars (1977)' })).toHaveFocus()
  await person.keyboard('{Enter}')
  await person.click(screen.getByRole('button', { name: 'Rate Star Wars (1977) 4 of 5' }))
  await person.click(screen.getByRole('button', { name: 'Add Star Wars (1977) to the cart' }))
  await person.click(screen.getByRole('button', { name: 'Buy Star Wars (1977)' }))
  await person.click(screen.getByRole('button', { name: 'Why Star Wars (1977)?' }))
  expect(onAct.mock.calls.map(([, ...act]) => act)).toEqual([
    ['click'],
    ['rate', 4],
    ['add_to_cart'],
    ['purchase'],
  ])
  expect(onWhy).toHaveBeenCalledWith(shown)
})

test('what was done is pressed, and what moved is marked', () => {
  render(
    <Card
      shown={shown}
      item={item}
      deed={{ types: new Set(['click', 'rate']), rating: 3 }}
      move={{ kind: 'up', by: 2 }}
      onAct={() => {}}
    />,
  )
  const pressed = screen
    .getAllByRole('button', { pressed: true })
    .map((button) => button.getAttribute('aria-label'))
  expect(pressed).toEqual(['Click Star Wars (1977)', 'Rate Star Wars (1977) 3 of 5'])
  expect(screen.getByText('up 2')).toBeInTheDocument()
})

test('an item of which only the id is known can still be acted on', () => {
  render(<Card shown={{ item_id: 'x9', score: 0, source: 'new' }} item={undefined} onAct={() => {}} />)
  expect(screen.getByRole('button', { name: 'Buy Item x9' })).toBeEnabled()
})
