import { Alert, Button, Group, Skeleton, Text, Title } from '@mantine/core'
import type { UseQueryResult } from '@tanstack/react-query'
import { Component, type ReactNode } from 'react'
import { ApiError } from '@/api/client'
import classes from './control.module.css'

interface Props {
  id: string
  title: string
  lead: string
  /** Stands at the right of the title. */
  aside?: ReactNode
  children: ReactNode
}

/** One part of the control room, with a fence: whatever fails within leaves the other parts as they are. */
export function Section({ id, title, lead, aside, children }: Props) {
  return (
    <section className={classes.section} aria-labelledby={`${id}-title`} id={id}>
      <Group justify="space-between" align="flex-end" gap="sm" className={classes.head}>
        <div>
          <Title order={2} size="h3" id={`${id}-title`}>
            {title}
          </Title>
          <Text c="dimmed" size="sm">
            {lead}
          </Text>
        </div>
        {aside}
      </Group>
      <Fence>{children}</Fence>
    </section>
  )
}

class Fence extends Component<{ children: ReactNode }, { error: Error | null }> {
  state = { error: null as Error | null }

  static getDerivedStateFromError(error: Error) {
    return { error }
  }

  render() {
    if (!this.state.error) return this.props.children
    return (
      <Alert color="red" title="This part of the page failed" role="alert">
        <Text size="sm">{this.state.error.message}</Text>
        <Button mt="sm" size="xs" variant="default" onClick={() => this.setState({ error: null })}>
          Show it again
        </Button>
      </Alert>
    )
  }
}

interface AskedProps<T> {
  query: UseQueryResult<T>
  /** Who gives the answer, as in "the console". */
  who: string
  /** Height of the skeleton in px. */
  height: number
  children: (data: T) => ReactNode
}

/** A query's answer; a skeleton before, and a word when it is not to be had: with what was known last, or instead. */
export function Asked<T>({ query, who, height, children }: AskedProps<T>) {
  const error = query.error ?? query.failureReason
  return (
    <>
      {error && (
        <Away who={who} error={error} hasData={query.data !== undefined} retry={() => query.refetch()} />
      )}
      {query.data !== undefined && children(query.data)}
      {query.data === undefined && !error && (
        <Skeleton height={height} radius="md" aria-label="Loading" role="status" />
      )}
    </>
  )
}

function Away({
  who,
  error,
  hasData,
  retry,
}: {
  who: string
  error: Error
  hasData: boolean
  retry: () => void
}) {
  const passing = error instanceof ApiError && error.passing
  return (
    <Alert color="yellow" variant="light" mb="md" title={`No answer from ${who}`} role="status">
      <Group justify="space-between" gap="sm">
        <Text size="sm">
          {error.message}
          {'. '}
          {hasData && 'What was known last is shown. '}
          {passing && 'It is asked again by itself.'}
        </Text>
        <Button size="xs" variant="default" onClick={retry}>
          Ask now
        </Button>
      </Group>
    </Alert>
  )
}

/** What a part says while there is nothing to show: why, and the command that changes it. */
export function Nothing({
  title,
  children,
  command,
}: {
  title: string
  children: ReactNode
  command: string
}) {
  return (
    <div className={classes.nothing}>
      <Text fw={600}>{title}</Text>
      <Text size="sm" c="dimmed">
        {children}
      </Text>
      <pre className={classes.command}>{command}</pre>
    </div>
  )
}
