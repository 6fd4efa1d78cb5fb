import { MantineProvider } from '@mantine/core'
import { render, screen } from '@testing-library/react'
import { Tool } from './Tools'

const link = { name: 'MLflow', url: 'http://127.0.0.1:5000', up: true, hint: 'make up serves it' }

function show(given: { up?: boolean; url?: string | null }) {
  render(
    <MantineProvider>
      <Tool link={{ ...link, ...given }} />
    </MantineProvider>,
  )
}

it('is one click away while it is up, and tells it nothing of this page', () => {
  show({})
  const way = screen.getByRole('link', { name: /MLflow.*opens a new tab/ })
  expect(way).toHaveAttribute('href', link.url)
  expect(way).toHaveAttribute('target', '_blank')
  expect(way).toHaveAttribute('rel', 'noreferrer')
  expect(screen.queryByText(/make up serves it/)).toBeNull()
})

it.each([{ up: false }, { up: false, url: null }])('says how to get it while it is not: %o', (given) => {
  show(given)
  expect(screen.queryByRole('link')).toBeNull()
  expect(screen.getByText('make up serves it.')).toBeInTheDocument()
})
