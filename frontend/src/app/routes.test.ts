import { viewAt } from './routes'

test('every address belongs to the view it begins with', () => {
  expect(viewAt('/')?.label).toBe('Watch')
  expect(viewAt('/inspect')?.label).toBe('Inspect')
  expect(viewAt('/inspect/users/196')?.label).toBe('Inspect')
  expect(viewAt('/control')?.label).toBe('Control')
})

test('what lives nowhere has no view', () => {
  expect(viewAt('/inspector')).toBeUndefined()
  expect(viewAt('/nowhere')).toBeUndefined()
})
