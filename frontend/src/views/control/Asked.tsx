import { Button, Group } from '@mantine/core'
import type { UseQueryResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { Answer, errorInWords, Loading } from '@/parts/states'
import classes from './control.module.css'
import { Notice } from './Notice'

interface Props<T> {
  query: UseQueryResult<T>
  /** What is asked for, as in "the vitals". */
  what: string
  /** Room that is held for the answer, in px. */
  height: number
  children: (data: T) => ReactNode
}

/** A query's answer, or what stands in its place; what was known last stays, and says that it does. */
export function Asked<T>({ query, what, height, children }: Props<T>) {
  const error = query.error ?? query.failureReason
  const isOld = error !== null && query.data !== undefined
  return (
    <>
      {isOld && <Old error={error} retry={() => query.refetch()} />}
      <Answer query={query} loading={<Loading label={`Loading ${what}`} height={height} />}>
        {children}
      </Answer>
    </>
  )
}

function Old({ error, retry }: { error: Error; retry: () => void }) {
  const { title, words, passing } = errorInWords(error)
  return (
    <div className={classes.old}>
      <Notice tone="watch" title={`${title}: this is what was known last`}>
        <Group gap="sm">
          <span>
            {words}
            {passing && '. It is tried again by itself.'}
          </span>
          <Button size="xs" variant="default" onClick={retry}>
            Try now
          </Button>
        </Group>
      </Notice>
    </div>
  )
}
