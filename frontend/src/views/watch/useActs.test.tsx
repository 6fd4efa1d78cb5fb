import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { renderHook, act as settle, waitFor } from '@testing-library/react'
import { recommendOptions } from '@/api/hooks'
import { STEPS } from './journey'
import { useActs } from './useActs'

interface Asked {
  path: string
  body: string
  answer: (status: number, body: unknown, headers?: HeadersInit) => void
}

// The clients take the network as it is when they are made: at import.
const wire = vi.hoisted(() => {
  const made = { send: (_: Request): Promise<Response> => Promise.reject(new TypeError('no network')) }
  globalThis.fetch = (request) => made.send(request as Request)
  return made
})

/** A network whose answers the test gives, when it wants to. */
function network() {
  const asked: Asked[] = []
  wire.send = async (request) => {
    const body = await request.clone().text()
    return new Promise<Response>((resolve) => {
      const answer: Asked['answer'] = (status, said, headers) =>
        resolve(
          new Response(JSON.stringify(said), {
            status,
            headers: { 'content-type': 'application/json', ...headers },
          }),
        )
      asked.push({ path: new URL(request.url).pathname.replace('/api', ''), body, answer })
    })
  }
  return async (path: string) => {
    await waitFor(() => expect(asked.map((each) => each.path)).toContain(path))
    return asked.splice(
      asked.findIndex((each) => each.path === path),
      1,
    )[0] as Asked
  }
}

const list = (fallback: string | null, ...ids: string[]) => ({
  recommendation_id: 'r2',
  fallback,
  recommendations: ids.map((item_id) => ({ item_id, score: 1, source: 'popular' })),
})

function begin() {
  const queries = new QueryClient()
  queries.setQueryData(recommendOptions('visitor-1', 12).queryKey, list('popular', 'a', 'b') as never)
  const { result } = renderHook(() => useActs('visitor-1', 12), {
    wrapper: ({ children }) => <QueryClientProvider client={queries}>{children}</QueryClientProvider>,
  })
  settle(
    () =>
      void result.current.act({ itemId: 'a', title: 'A', type: 'rate', value: 4, recommendationId: 'r1' }),
  )
  return { queries, result }
}

test('shows the act at once, waits for its row beside the sending, and puts the new list in place', async () => {
  const next = network()
  const { queries, result } = begin()
  expect(result.current.journeys[0]?.act).toMatchObject({ itemId: 'a', userId: 'visitor-1' })

  const row = await next('/console/users/visitor-1/written')
  const sent = await next('/ingest/events')
  expect(JSON.parse(sent.body)).toMatchObject({ event_type: 'rate', value: 4, recommendation_id: 'r1' })
  sent.answer(201, { status: 'accepted', event_id: 'e' }, { 'server-timing': 'check;dur=0.1, log;dur=0.5' })
  await waitFor(() => expect(result.current.journeys[0]?.at.logged).toBeDefined())
  row.answer(200, { written: true })
  ;(await next('/recommender/recommend')).answer(200, list(null, 'b', 'c'))

  await waitFor(() => expect(result.current.journeys[0]?.outcome).toBe('personal'))
  expect(Object.keys(result.current.journeys[0]?.at ?? {}).sort()).toEqual([...STEPS].sort())
  expect(queries.getQueryData(recommendOptions('visitor-1', 12).queryKey)).toEqual(list(null, 'b', 'c'))
})

test('a row that is not there yet is waited for again', async () => {
  const next = network()
  const { result } = begin()
  ;(await next('/ingest/events')).answer(201, { status: 'accepted', event_id: 'e' })
  ;(await next('/console/users/visitor-1/written')).answer(200, { written: false })
  ;(await next('/console/users/visitor-1/written')).answer(200, { written: true })
  await waitFor(() => expect(result.current.journeys[0]?.at.written).toBeDefined())
})

test('an act that is refused ends where it is, with the service’s words', async () => {
  const next = network()
  const { result } = begin()
  ;(await next('/ingest/events')).answer(422, {
    error: { code: 'invalid', message: 'value is no number', details: null },
  })
  await waitFor(() => expect(result.current.journeys[0]?.trouble).toBe('value is no number'))
  expect(result.current.journeys[0]?.at).toEqual({})
})

test('while nobody can read the row, the wait goes on', async () => {
  const next = network()
  const { result } = begin()
  ;(await next('/ingest/events')).answer(201, { status: 'accepted', event_id: 'e' })
  const away = { error: { code: 'unavailable', message: 'Redis gives no answer', details: null } }
  ;(await next('/console/users/visitor-1/written')).answer(503, away)
  ;(await next('/console/users/visitor-1/written')).answer(200, { written: true })
  await waitFor(() => expect(result.current.journeys[0]?.at.written).toBeDefined())
})

test('what is in the log counts, even if no list comes of it now', async () => {
  const next = network()
  const { result } = begin()
  ;(await next('/ingest/events')).answer(201, { status: 'accepted', event_id: 'e' })
  ;(await next('/console/users/visitor-1/written')).answer(200, { written: true })
  const away = { error: { code: 'unreachable', message: 'recommender cannot be reached', details: null } }
  ;(await next('/recommender/recommend')).answer(503, away)
  await waitFor(() =>
    expect(result.current.journeys[0]?.trouble).toBe(
      'recommender cannot be reached. The act is in the log and will count.',
    ),
  )
})
