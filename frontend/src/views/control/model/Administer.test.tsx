import { MantineProvider } from '@mantine/core'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { configure, fireEvent, render, screen, waitFor, within } from '@testing-library/react'
import { adminKey } from '@/api/key'
import { KeyField } from '../KeyField'
import { Administer } from './Administer'
import { served, version } from './samples'

// A slow machine is no fault.
configure({ asyncUtilTimeout: 20_000 })
vi.setConfig({ testTimeout: 60_000 })

const KEY = 'the right key'

beforeEach(() => adminKey.set(''))

interface Asked {
  path: string
  key: string | null
  body: string
}

// The clients take the network as it is when they are made: at import.
const wire = vi.hoisted(() => {
  const made = { send: (_: Request): Promise<Response> => Promise.reject(new TypeError('no network')) }
  globalThis.fetch = (request) => made.send(request as Request)
  return made
})

/** A console and a recommender that know one key; gives what they were asked. */
function network(lock: 'open' | 'needed' | 'closed'): Asked[] {
  const asked: Asked[] = []
  wire.send = async (request) => {
    const path = new URL(request.url).pathname.replace('/api', '')
    const key = request.headers.get('X-Api-Key')
    asked.push({ path, key, body: await request.clone().text() })
    const may = lock === 'open' || (lock === 'needed' && key === KEY)
    if (path === '/console/config') return Response.json({ key: lock, may_administer: may, links: [] })
    if (path === '/recommender/model/promote') return Response.json({ version: '3', was: '2', took_ms: 12 })
    return Response.json(
      { error: { code: 'conflict', message: 'there is no release before' } },
      { status: 409 },
    )
  }
  return asked
}

function show() {
  const previous = { model_version: 'a', registered_version: '1' }
  const refused = version({ version: '3', gate: 'refused' })
  render(
    <MantineProvider>
      <QueryClientProvider client={new QueryClient()}>
        <KeyField />
        <Administer
          served={served({ registered_version: '2', previous })}
          versions={[refused, version({ version: '2' }), version()]}
        />
      </QueryClientProvider>
    </MantineProvider>,
  )
}

const type = async (key: string) =>
  fireEvent.change(await screen.findByLabelText('Admin key'), { target: { value: key } })
const promote = () => screen.getByText('Promote version 3').closest('button') as HTMLButtonElement
const rollBack = () => screen.getByText('Roll back').closest('button') as HTMLButtonElement

it('lets nobody act without the key, nor with another', async () => {
  network('needed')
  show()
  await type('a guess')
  expect(await screen.findByText('Not the right key')).toBeInTheDocument()
  expect(promote()).toBeDisabled()
  expect(rollBack()).toBeDisabled()
})

it('promotes with the key after a word of what will happen, and keeps the key nowhere', async () => {
  const asked = network('needed')
  show()
  await type(KEY)
  await waitFor(() => expect(promote()).toBeEnabled())
  fireEvent.click(promote())
  const dialog = await screen.findByRole('dialog', { name: 'Promote version 3?' })
  expect(dialog).toHaveTextContent('This goes past the gate')
  expect(asked.map(({ path }) => path)).not.toContain('/recommender/model/promote')
  fireEvent.click(within(dialog).getByRole('button', { name: 'Promote version 3' }))
  expect(await screen.findByText(/names version 3 now/)).toBeInTheDocument()
  expect(asked.find(({ path }) => path.endsWith('/promote'))).toMatchObject({
    key: KEY,
    body: '{"version":"3"}',
  })
  expect(document.documentElement.outerHTML).not.toContain(KEY)
  expect(JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])).not.toContain(KEY)
})

it('says why a rollback did not happen', async () => {
  network('open')
  show()
  await waitFor(() => expect(rollBack()).toBeEnabled())
  expect(screen.queryByLabelText('Admin key')).toBeNull()
  fireEvent.click(rollBack())
  const dialog = await screen.findByRole('dialog', { name: 'Leave version 2?' })
  fireEvent.click(within(dialog).getByRole('button', { name: 'Roll back' }))
  expect(await screen.findByText('Not possible now: there is no release before.')).toBeInTheDocument()
})

it('says that nobody may while no key is set', async () => {
  network('closed')
  show()
  expect(await screen.findByText(/until FRESHET_ADMIN_KEY is set/)).toBeInTheDocument()
  expect(promote()).toBeDisabled()
})
