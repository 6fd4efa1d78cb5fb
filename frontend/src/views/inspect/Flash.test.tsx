import { render, screen } from '@testing-library/react'
import { Flash } from './Flash'

it('lights up only when the value changes', () => {
  const shown = (value: unknown) => <Flash value={value}>text</Flash>
  const { rerender } = render(shown([1]))
  const first = screen.getByText('text')
  expect(first.className).toBe('')
  rerender(shown([1]))
  expect(screen.getByText('text')).toBe(first)
  rerender(shown([2]))
  expect(screen.getByText('text').className).toMatch(/flash/)
  const second = screen.getByText('text')
  rerender(shown([3]))
  expect(screen.getByText('text')).not.toBe(second)
})
