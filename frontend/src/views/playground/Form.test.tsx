import { MantineProvider } from '@mantine/core'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { act, render, screen } from '@testing-library/react'
import userEvent from '@testing-library/user-event'
import { Form } from './Form'
import { type FieldErrors, fieldErrorsOf } from './request'
import { PLAIN, type Setting } from './settings'

function show(setting: Setting, errors: FieldErrors = {}) {
  const onChange = vi.fn()
  render(
    <QueryClientProvider client={new QueryClient({ defaultOptions: { queries: { enabled: false } } })}>
      <MantineProvider>
        <Form name="A" setting={setting} errors={errors} differing={new Set()} onChange={onChange} />
      </MantineProvider>
    </QueryClientProvider>,
  )
  return onChange
}

it('shows what the service refuses at the field', () => {
  show(
    { ...PLAIN, user: '7', k: '9999', diversity: '1' },
    fieldErrorsOf([
      { field: 'k', message: 'must be at most 500, not 9999' },
      { field: 'diversity', message: 'Input should be less than or equal to 1' },
    ]),
  )
  const k = screen.getByRole('textbox', { name: 'How many (k)' })
  expect(k).toHaveAccessibleDescription('must be at most 500, not 9999')
  expect(k).toBeInvalid()
  expect(screen.getByRole('alert')).toHaveTextContent('less than or equal to 1')
  expect(screen.getByRole('textbox', { name: 'Category' })).toBeValid()
})

it('takes what is typed, right or wrong', async () => {
  const onChange = show({ ...PLAIN, user: '7', k: '' })
  await userEvent.type(screen.getByRole('textbox', { name: 'How many (k)' }), 'x')
  expect(onChange).toHaveBeenCalledWith({ ...PLAIN, user: '7', k: 'x' })
})

it('asks for events of a session, with an example to begin with', async () => {
  const onChange = show({ ...PLAIN, who: 'session' })
  expect(screen.queryByRole('combobox', { name: 'User' })).toBeNull()
  await userEvent.click(screen.getByRole('button', { name: 'Fill in an example' }))
  expect(JSON.parse(onChange.mock.calls[0]?.[0].events)).toHaveLength(2)
})

it('moves diversity by keyboard and gives it back to the service', async () => {
  const onChange = show({ ...PLAIN, user: '7', diversity: '0.5' })
  act(() => screen.getByRole('slider').focus())
  await userEvent.keyboard('{ArrowRight}')
  expect(onChange).toHaveBeenLastCalledWith({ ...PLAIN, user: '7', diversity: '0.55' })
  await userEvent.click(screen.getByRole('button', { name: 'Leave to the service' }))
  expect(onChange).toHaveBeenLastCalledWith({ ...PLAIN, user: '7', diversity: '' })
})
