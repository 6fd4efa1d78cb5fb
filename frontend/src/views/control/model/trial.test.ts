// @vitest-environment jsdom
import { ApiError } from '@/api/client'
import { refusal } from './refusals'
import { canary, served } from './samples'
import { noWayBack, progress, promoteSteps, rollbackSteps, timeLeft } from './trial'

const at = (seconds: number) => Date.parse(canary.since) + seconds * 1_000

it('counts a trial down', () => {
  expect(timeLeft(canary.until, at(0))).toBe('10 s left')
  expect(timeLeft(canary.until, at(9.2))).toBe('1 s left')
  expect(timeLeft(canary.until, at(30))).toBe('about to serve everybody')
  expect(timeLeft(canary.until, at(-80))).toBe('1 min 30 s left')
  expect(timeLeft(canary.until, at(-7200))).toBe('2 h 0 min left')
})

it('shows how much of a trial is over, within 0 and 1', () => {
  expect([-5, 0, 2.5, 99].map((seconds) => progress(canary, at(seconds)))).toEqual([0, 0, 0.25, 1])
  expect(progress({ ...canary, until: canary.since }, at(0))).toBe(1)
})

it('says that a promotion begins with a share of the users', () => {
  const steps = promoteSteps('2', served())
  expect(steps[0]).toContain('it names 1 now')
  expect(steps.findIndex((each) => each.includes('a share of the users'))).toBeLessThan(
    steps.findIndex((each) => each.includes('serves everybody')),
  )
})

it('says that the way back is served without a trial', () => {
  const previous = { model_version: 'a', registered_version: '1' }
  const steps = promoteSteps('1', served({ registered_version: '2', previous }))
  expect(steps[1]).toContain('at once, without another trial')
  expect(steps[2]).toBe('Version 2 becomes the way back.')
})

it('tells the end of a trial from the way back to the release before', () => {
  expect(rollbackSteps(served({ canary }))[0]).toBe(
    'The trial of version 2 ends at once; its 10 % of the users are answered by version 1 again.',
  )
  const previous = { model_version: 'b', registered_version: '1' }
  expect(rollbackSteps(served({ registered_version: '2', previous }))[0]).toMatch(
    /^Version 1, which is in memory/,
  )
})

it('knows when there is no way back', () => {
  expect(noWayBack(served())).toContain('nothing to go back to')
  expect(noWayBack(served({ canary }))).toBeNull()
})

it.each([
  [401, 'FRESHET_ADMIN_KEY'],
  [403, 'Nobody may: told'],
  [404, 'no such version'],
  [409, 'Not possible now: told'],
  [503, 'in part'],
  [0, 'does not answer'],
  [500, '500'],
])('a refusal by %s says what it is', (status, words) => {
  expect(refusal(new ApiError(status, 'code', 'told'))).toContain(words)
})
