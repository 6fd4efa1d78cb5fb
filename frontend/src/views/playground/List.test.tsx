import { MantineProvider } from '@mantine/core'
import { render, screen, within } from '@testing-library/react'
import { difference } from './difference'
import { Json } from './Json'
import { List } from './List'

const item = (item_id: string, reasons?: string[]) => ({
  item_id,
  score: 1.5,
  source: 'popular',
  title: `T${item_id}`,
  reasons,
})

it('says of each item how it stands against the other list', () => {
  const found = difference(['1', '2', '3'], ['1', '3', '4'])
  render(
    <MantineProvider>
      <List
        name="B"
        other="A"
        items={[item('1'), item('3', ['because you rated T2 5', 'rising']), item('4')]}
        moves={found.b}
        stale={false}
        pointed={null}
        onPoint={() => {}}
      />
    </MantineProvider>,
  )
  const [first, second, third] = screen.getAllByRole('listitem') as [HTMLElement, HTMLElement, HTMLElement]
  expect(within(first).getByRole('img', { name: 'same place in A' })).toBeInTheDocument()
  expect(within(second).getByRole('img', { name: '1 higher than in A' })).toHaveTextContent('↑1')
  expect(second).toHaveTextContent('because you rated T2 5; rising')
  expect(third).toHaveTextContent('only B')
  expect(within(third).getByRole('link', { name: 'T4' })).toHaveAttribute('href', '/inspect/items/4')
})

it('folds JSON below the second level', () => {
  render(<Json value={{ count: 1, list: [{ id: 'x', deep: { a: null } }], none: [] }} />)
  const folds = document.querySelectorAll('details')
  expect([...folds].map((fold) => fold.open)).toEqual([true, true, false, false])
  expect(screen.getByText('"x"')).toBeInTheDocument()
})
