import { MantineProvider } from '@mantine/core'
import { render, screen, within } from '@testing-library/react'
import type { ComponentProps } from 'react'
import { ApiError } from '@/api/client'
import { Failed } from '@/parts/states'
import { Rail } from './Rail'

function show(given: Partial<ComponentProps<typeof Rail>>) {
  render(
    <MantineProvider>
      <Rail
        title="For you"
        lead="made for you"
        shown={undefined}
        items={new Map()}
        done={new Map()}
        layout="grid"
        empty="Look as a new visitor."
        onAct={() => {}}
        {...given}
      />
    </MantineProvider>,
  )
  return within(screen.getByRole('region', { name: 'For you' }))
}

test('while it is asked it is busy', () => {
  expect(show({}).getAllByRole('status', { name: 'Loading the list' })[0]).toHaveAttribute(
    'aria-busy',
    'true',
  )
})

test('an empty list says what to do', () => {
  const rail = show({ shown: [] })
  expect(rail.getByText('Look as a new visitor.')).toBeInTheDocument()
  expect(rail.queryByRole('list')).toBeNull()
})

test('cards stand in the order of the list', () => {
  const rail = show({
    shown: ['b', 'a'].map((item_id) => ({ item_id, title: item_id, score: 1, source: 'popular' })),
  })
  expect(rail.getAllByRole('article').map((card) => card.getAttribute('aria-label'))).toEqual(['b', 'a'])
})

test('an error in its place is told, with a way to try again', () => {
  const retry = vi.fn()
  const rail = show({
    instead: (
      <Failed error={new ApiError(503, 'unreachable', 'recommender cannot be reached')} retry={retry} />
    ),
  })
  expect(rail.getByRole('status')).toHaveTextContent(
    'recommender cannot be reached. It is tried again by itself.',
  )
  rail.getByRole('button', { name: 'Try now' }).click()
  expect(retry).toHaveBeenCalledOnce()
})

test('the keyboard stays at its place when the card it was on is gone', () => {
  const list = (ids: string[]) =>
    ids.map((item_id) => ({ item_id, title: item_id, score: 1, source: 'popular' }))
  const rail = (ids: string[]) => (
    <Rail
      title="x"
      lead=""
      shown={list(ids)}
      items={new Map()}
      done={new Map()}
      layout="grid"
      empty=""
      onAct={() => {}}
    />
  )
  const { rerender } = render(rail(['a', 'b', 'c']))
  screen.getByRole('button', { name: 'Click b' }).focus()
  rerender(rail(['a', 'd', 'c']))
  expect(screen.getByRole('button', { name: 'Click d' })).toHaveFocus()
  rerender(rail(['d', 'a', 'c']))
  expect(screen.getByRole('button', { name: 'Click d' })).toHaveFocus()
})
