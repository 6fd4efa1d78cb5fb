import { MantineProvider } from '@mantine/core'
import { render, screen, within } from '@testing-library/react'
import userEvent from '@testing-library/user-event'
import type { FeaturePair, Inspected } from './row'
import { Sdk } from './Sdk'

function pair(name: string, online: unknown, feast: unknown = online): FeaturePair {
  return { name, dtype: 'float32', description: name, online, feast, equal: online === feast }
}

function show(sdk: Inspected['sdk'], features: FeaturePair[]) {
  const row = { event_timestamp: null, age_ms: null, written_at: null, ttl_s: null }
  const equal = features.every((one) => one.equal)
  const inspected: Inspected = {
    entity: 'user',
    id: '1',
    equal,
    sdk,
    views: [{ ...row, view: 'user_features', features }],
  }
  render(
    <MantineProvider>
      <Sdk inspected={inspected} />
    </MantineProvider>,
  )
}

const READY = { state: 'ready', message: null, took_ms: 2.44 } as const

it('marks what is equal and tells the time of the read', () => {
  show(READY, [pair('event_count', 4), pair('mean_value', 3.5)])
  expect(screen.getAllByRole('img', { name: 'equal' })).toHaveLength(2)
  expect(screen.getByText('all equal')).toBeInTheDocument()
  expect(screen.getByText(/2 of 2 values equal; the SDK's own read took 2.4 ms/)).toBeInTheDocument()
})

it('marks what differs, and does not hide it when ours is zero', () => {
  show(READY, [pair('event_count', 4), pair('view_1h', 0, 0.5)])
  expect(screen.getByText('1 differ')).toBeInTheDocument()
  const row = screen.getByRole('row', { name: /view_1h/ })
  expect(within(row).getByRole('img', { name: 'differs' })).toBeInTheDocument()
})

it('hides zeros until they are wanted', async () => {
  show(READY, [pair('event_count', 4), pair('view_1h', 0)])
  expect(screen.queryByRole('row', { name: /view_1h/ })).toBeNull()
  expect(screen.getByText('1 zeros hidden')).toBeInTheDocument()
  await userEvent.click(screen.getByRole('checkbox', { name: 'Hide zeros that agree' }))
  expect(screen.getByRole('row', { name: /view_1h/ })).toBeInTheDocument()
})

it('claims nothing about values while the SDK loads or is away', () => {
  const unread = { ...pair('event_count', 4), feast: null, equal: false }
  show({ state: 'loading', message: 'being imported', took_ms: null }, [unread])
  expect(screen.getByRole('status')).toHaveTextContent('being imported')
  expect(screen.queryByRole('img')).toBeNull()
})

it('says why the SDK is away', () => {
  show({ state: 'away', message: 'Redis gives no answer', took_ms: null }, [
    { ...pair('a', 4), feast: null, equal: false },
  ])
  expect(screen.getByRole('status')).toHaveTextContent('awayRedis gives no answer')
})
