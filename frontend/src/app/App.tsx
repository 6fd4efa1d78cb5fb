import '@mantine/core/styles.css'
import '@/theme/tokens.css'
import { MantineProvider, Title } from '@mantine/core'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { Suspense, useEffect } from 'react'
import { Link, Route, Switch, useLocation } from 'wouter'
import { ApiError } from '@/api/client'
import { adminKey } from '@/api/key'
import { VisitorProvider } from '@/api/visitor'
import { Announcer } from '@/parts/announce'
import { Fence } from '@/parts/Fence'
import { Empty, Loading } from '@/parts/states'
import { theme } from '@/theme/theme'
import { VIEWS, viewAt } from './routes'
import { Shell } from './Shell'

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // What the person did wrong is not asked again; a service that is away is, ever more slowly, for ever.
      retry: (_count, error) => error instanceof ApiError && error.passing,
      retryDelay: (count) => Math.min(500 * 2 ** count, 4_000),
      staleTime: 1_000,
    },
  },
})

export function App() {
  // Whoever has a key sees more.
  useEffect(() => adminKey.subscribe(() => void queries.invalidateQueries()), [])
  return (
    // Both would make <style> elements, which the CSP blocks: theme/tokens.css has what they would say.
    <MantineProvider
      theme={theme}
      defaultColorScheme="auto"
      withCssVariables={false}
      withGlobalClasses={false}
    >
      <QueryClientProvider client={queries}>
        <VisitorProvider>
          <Announcer>
            <Shell>
              <Views />
            </Shell>
          </Announcer>
        </VisitorProvider>
      </QueryClientProvider>
    </MantineProvider>
  )
}

function Views() {
  const [location] = useLocation()
  return (
    // Another view is another try.
    <Fence key={viewAt(location)?.path}>
      <Suspense fallback={<Loading label="Loading the view" height={320} />}>
        <Switch>
          {VIEWS.map(({ pattern, Component }) => (
            <Route key={pattern} path={pattern} component={Component} />
          ))}
          <Route component={Nowhere} />
        </Switch>
      </Suspense>
    </Fence>
  )
}

function Nowhere() {
  return (
    <>
      <Title order={1} mb="md">
        No such page
      </Title>
      <Empty title="Nothing lives at this address" action={<Link href="/">To the first page</Link>} />
    </>
  )
}
