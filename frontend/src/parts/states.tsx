/** What stands where an answer will stand, or would have stood. */
import { Button, Skeleton } from '@mantine/core'
import type { UseQueryResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { ApiError } from '@/api/client'
import classes from './states.module.css'

/** A place held while something loads. `label` is for those who cannot see it; `height` in px. */
export function Loading({
  label = 'Loading',
  height = 120,
  rows = 1,
}: {
  label?: string
  height?: number
  rows?: number
}) {
  return (
    <div aria-busy="true" role="status" aria-label={label}>
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rows are all alike
        <Skeleton key={row} height={height} radius="md" mb={row < rows - 1 ? 'sm' : 0} />
      ))}
    </div>
  )
}

/** Nothing is here: why, and what to do. */
export function Empty({
  title,
  children,
  action,
}: {
  title: string
  children?: ReactNode
  action?: ReactNode
}) {
  return (
    <div className={classes.state} data-kind="empty">
      <p className={classes.title}>{title}</p>
      {children && <p className={classes.words}>{children}</p>}
      {action}
    </div>
  )
}

/** What an error means to a person: a title, the service's own words, and whether it is tried again by itself. */
export function errorInWords(error: Error): { title: string; words: string; passing: boolean } {
  if (!(error instanceof ApiError)) return { title: 'This part failed', words: error.message, passing: false }
  const { status, message, passing } = error
  if (status === 429) return { title: 'Too many requests at once', words: message, passing }
  if (passing) return { title: 'No answer right now', words: message, passing }
  if (status === 404) return { title: 'Not found', words: message, passing }
  if (error.forbidden)
    return { title: 'For the administrator', words: `${message}. The control room takes the key`, passing }
  return { title: 'The question was refused', words: message, passing }
}

/** An error in words, and a button that tries again. */
export function Failed({ error, retry }: { error: Error; retry?: () => void }) {
  const { title, words, passing } = errorInWords(error)
  return (
    <div
      className={classes.state}
      data-kind={passing ? 'waiting' : 'failed'}
      role={passing ? 'status' : 'alert'}
    >
      <p className={classes.title}>{title}</p>
      <p className={classes.words}>
        {words}
        {passing && '. It is tried again by itself.'}
      </p>
      {retry && (
        <Button size="xs" variant="default" onClick={retry}>
          Try now
        </Button>
      )}
    </div>
  )
}

/** A query's answer, or whatever stands in its place. An error does not take away what is known already. */
export function Answer<T>({
  query,
  loading,
  children,
}: {
  query: UseQueryResult<T>
  loading?: ReactNode
  children: (data: T) => ReactNode
}) {
  if (query.data !== undefined) return children(query.data)
  const error = query.error ?? query.failureReason
  if (error) return <Failed error={error} retry={() => query.refetch()} />
  return loading ?? <Loading />
}
