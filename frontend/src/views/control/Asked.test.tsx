import { MantineProvider } from '@mantine/core'
import { QueryClient, QueryClientProvider, useQuery } from '@tanstack/react-query'
import { configure, fireEvent, render, screen } from '@testing-library/react'
import { ApiError } from '@/api/client'
import { Asked } from './Asked'

// A slow machine is no fault.
configure({ asyncUtilTimeout: 20_000 })
vi.setConfig({ testTimeout: 60_000 })

function Shown({ ask }: { ask: () => Promise<string> }) {
  const query = useQuery({ queryKey: ['word'], queryFn: ask })
  return (
    <>
      <button type="button" onClick={() => query.refetch()}>
        ask
      </button>
      <Asked query={query} what="the word" height={10}>
        {(word) => <p>{word}</p>}
      </Asked>
    </>
  )
}

it('keeps what was known last while its giver is away, says so, and recovers', async () => {
  const away = () => Promise.reject(new ApiError(503, 'unavailable', 'PostgreSQL gives no answer'))
  let ask: () => Promise<string> = async () => 'first'
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } })
  render(
    <MantineProvider>
      <QueryClientProvider client={client}>
        <Shown ask={() => ask()} />
      </QueryClientProvider>
    </MantineProvider>,
  )
  expect(screen.getByRole('status', { name: 'Loading the word' })).toBeInTheDocument()
  expect(await screen.findByText('first')).toBeInTheDocument()

  ask = away
  fireEvent.click(screen.getByText('ask'))
  expect(await screen.findByText(/this is what was known last/)).toBeInTheDocument()
  expect(screen.getByRole('status')).toHaveTextContent(
    'PostgreSQL gives no answer. It is tried again by itself.',
  )
  expect(screen.getByText('first')).toBeInTheDocument()

  ask = async () => 'second'
  fireEvent.click(screen.getByText('Try now'))
  expect(await screen.findByText('second')).toBeInTheDocument()
  expect(screen.queryByRole('status')).toBeNull()
})
