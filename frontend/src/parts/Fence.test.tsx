import { MantineProvider } from '@mantine/core'
import { render, screen } from '@testing-library/react'
import { Fence } from './Fence'

function Failing({ words }: { words: string }): never {
  throw new Error(words)
}

function show(words: string) {
  vi.spyOn(console, 'error').mockImplementation(() => {})
  render(
    <MantineProvider>
      <p>beside</p>
      <Fence>
        <Failing words={words} />
      </Fence>
    </MantineProvider>,
  )
}

test('what fails is told in its place, the rest stays', () => {
  show('no such thing')
  expect(screen.getByRole('alert')).toHaveTextContent('no such thing')
  expect(screen.getByText('beside')).toBeInTheDocument()
  expect(screen.getByRole('button', { name: 'Show it again' })).toBeEnabled()
})

test('script that is gone means a newer page, which can be loaded', () => {
  show('Failed to fetch dynamically imported module: http://127.0.0.1:8080/assets/Why-x.js')
  expect(screen.getByRole('button', { name: 'Load it' })).toBeEnabled()
})
