import { MantineProvider } from '@mantine/core'
import { render, screen, within } from '@testing-library/react'
import userEvent from '@testing-library/user-event'
import { Counts } from './Counts'

const NOW = 1_800_000_000_000

it('shows counts as of now beside what is stored, and lets one choose', async () => {
  const onChoose = vi.fn()
  render(
    <MantineProvider>
      <Counts
        counts={{ click: { '1h': 8, '1d': 8 }, view: { '1h': 0, '1d': 0 } }}
        halfLivesS={{ '1h': 3_600, '1d': 86_400 }}
        asOfMs={NOW - 3 * 3_600_000}
        nowMs={NOW}
        chosen="click"
        onChoose={onChoose}
      />
    </MantineProvider>,
  )
  const [hour, day] = within(screen.getByRole('row', { name: /^click/ })).getAllByRole('cell')
  // three half-lives of an hour: 8 -> 1; an eighth of a day: 8 * 2^(-1/8)
  expect(hour).toHaveTextContent('1.000stored 8.000')
  expect(day).toHaveTextContent('7.336stored 8.000')
  expect(screen.getByRole('button', { name: 'click' })).toHaveAttribute('aria-pressed', 'true')
  await userEvent.click(screen.getByRole('button', { name: 'view' }))
  expect(onChoose).toHaveBeenCalledWith('view')
})
