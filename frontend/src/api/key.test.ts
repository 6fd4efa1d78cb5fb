// @vitest-environment jsdom
import { ApiError, every } from './client'
import { adminKey } from './key'

test('whoever listens hears of each change, and of none after leaving', () => {
  const heard: string[] = []
  const leave = adminKey.subscribe(() => heard.push(adminKey.current().key))
  const { turn } = adminKey.current()
  adminKey.set('one')
  adminKey.set('')
  leave()
  adminKey.set('two')
  expect(heard).toEqual(['one', ''])
  expect(adminKey.current()).toEqual({ key: 'two', turn: turn + 3 })
  adminKey.set('')
})

test('what only the administrator may ask is not asked again and again', () => {
  const asked = every(500)
  expect(asked({ state: { error: null } })).toBe(500)
  expect(asked({ state: { error: new ApiError(503, 'unavailable', 'away') } })).toBe(500)
  expect(asked({ state: { error: new ApiError(401, 'unauthorized', 'no key') } })).toBe(false)
  expect(asked({ state: { error: new ApiError(403, 'forbidden', 'nobody') } })).toBe(false)
})
