import { MantineProvider } from '@mantine/core'
import { render, screen } from '@testing-library/react'
import { Shown } from './Shown'
import { experiment, result, variant } from './samples'
import type { Experiment } from './words'

const control = variant({ control: true, result: result() })
const versus = { difference: 0.2, low: 0.1, high: 0.3, p_value: 0.00001, decided: true }
const better = variant({
  name: 'diverse',
  rules: { diversity: 0.3 },
  result: result({ ctr: 0.5, ctr_low: 0.45, ctr_high: 0.55, versus_control: versus }),
})

function show(shown: Experiment) {
  render(
    <MantineProvider>
      <Shown experiment={shown} />
    </MantineProvider>,
  )
}

/** Where a variant's interval begins and how long it is, in per cent of the scale. */
function span(name: RegExp) {
  const band = screen.getByRole('img', { name }).querySelector<HTMLElement>('[style*="width"]')
  return {
    left: Number.parseFloat(band?.style.left ?? ''),
    width: Number.parseFloat(band?.style.width ?? ''),
  }
}

it('draws every interval on one scale', () => {
  show(experiment([control, better]))
  const [first, second] = [
    span(/^control: 30\.0 %, 95 % from 25\.0 % to 35\.0 %$/),
    span(/^diverse: 50\.0 %/),
  ]
  // Both are ten points long; the second begins where the first would after twenty more.
  expect(first.width).toBeCloseTo(second.width)
  expect(second.left - first.left).toBeCloseTo(2 * first.width)
})

it('says what is decided, and how it is ended', () => {
  show(experiment([control, better]))
  expect(screen.getByText('Decided: diverse is better than the control.')).toBeInTheDocument()
  expect(screen.getByText('Better than control')).toBeInTheDocument()
  expect(screen.getByLabelText('Command that ends calm-lists')).toHaveTextContent(
    'python -m flows.experiments end calm-lists',
  )
})

it('of one that has ended, offers no end', () => {
  show(experiment([control, better], { state: 'ended', ended_at: '2026-11-24T20:00:00Z' }))
  expect(screen.queryByText('End it')).toBeNull()
})

it('waits for lists, and for a model', () => {
  const next = variant({ name: 'next', model: 'challenger' })
  show(experiment([{ ...control, result: null }, next], { waits_for: ['challenger'] }))
  expect(screen.getByText('It waits for its first lists.')).toBeInTheDocument()
  expect(screen.getByRole('status')).toHaveTextContent('It waits for a model: challenger')
  expect(screen.queryByRole('img')).toBeNull()
})

it('warns of comparing a shadow with what was shown', () => {
  const shadow = variant({ name: 'next', share: 0, shadow: true, result: result() })
  show(experiment([control, shadow]))
  expect(screen.getByText(/to be held against other shadows only/)).toBeInTheDocument()
})
