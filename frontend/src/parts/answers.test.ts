import { kindOf } from './answers'

test('a personal list is personal', () => {
  expect(kindOf(null, true)).toMatchObject({ label: 'Personal', degraded: false })
})

test('what is popular is all there is for a stranger, and less than there should be for one who is known', () => {
  expect(kindOf('popular', false)).toMatchObject({ label: 'Popular', degraded: false })
  expect(kindOf('popular', true)).toMatchObject({ degraded: true })
  expect(kindOf('popular', true).words).toMatch(/could not be read in time/)
})

test('remembered features are told with their reason', () => {
  expect(kindOf('last_known', true)).toMatchObject({ degraded: true })
  expect(kindOf('last_known', true).words).toMatch(/Redis/)
})
