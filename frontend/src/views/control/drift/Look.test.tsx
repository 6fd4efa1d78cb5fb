import { MantineProvider } from '@mantine/core'
import { fireEvent, render, screen } from '@testing-library/react'
import { Look } from './Look'
import { feature, report } from './samples'
import type { Report } from './words'

function show(given: Partial<Report>) {
  render(
    <MantineProvider>
      <Look report={report(given)} />
    </MantineProvider>,
  )
}

const row = (name: string) => screen.getByText(name).closest('tr') as HTMLElement

it('draws a bar in units of the threshold, no longer than the scale', () => {
  const far = feature({ distance: 0.9, drifted: true })
  show({ verdict: 'drift', features: { far, near: feature({ distance: 0.15, threshold: 0.2 }) } })
  const width = (name: string) => row(name).querySelector<HTMLElement>('[style*="width"]')?.style.width
  expect(width('far')).toBe('100%')
  expect(Number.parseFloat(width('near') ?? '')).toBeCloseTo(25)
  expect(row('far')).toHaveTextContent('far Drifted9.0 × 0.90 / 0.10')
  expect(row('near')).not.toHaveTextContent('Drifted')
})

it('does not call drifted what does not count', () => {
  show({ features: { age: feature({ distance: 0.9, drifted: true, counts: false }) } })
  expect(row('age')).toHaveTextContent('age not counted')
  expect(row('age')).not.toHaveTextContent('Drifted')
})

it('unfolds the others of many', () => {
  show({ features: Object.fromEntries(Array.from({ length: 14 }, (_, n) => [`f${n}`, feature()])) })
  expect(screen.getAllByText(/^f\d+$/)).toHaveLength(10)
  fireEvent.click(screen.getByText('All 14 columns'))
  expect(screen.getAllByText(/^f\d+$/)).toHaveLength(14)
})

it('tells broken data from drift', () => {
  const message = 'retriever_score is null in 41 % of 900 rows'
  show({ verdict: 'bad data', alerts: [{ check: 'nulls', feature: 'retriever_score', message }] })
  expect(screen.getByRole('heading')).toHaveTextContent('to be mended, not to be learned')
  expect(screen.getByRole('list', { name: 'What is wrong with the data' })).toHaveTextContent(message)
  expect(screen.queryByRole('table')).toBeNull()
})
