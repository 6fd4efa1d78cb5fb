import { Skeleton, Stack, Text, Title } from '@mantine/core'
import type { ReactNode } from 'react'
import { Link } from 'wouter'
import { usePopular, useUsers } from '@/api/hooks'
import { useVisitor } from '@/api/visitor'
import { Finder } from './Finder'
import { useNow } from './hooks'
import classes from './inspect.module.css'
import { addressOf, type Place } from './place'
import { ageOf } from './words'

const SHOWN = 12

/** Whom or what to look at. */
export function Chooser() {
  const visitor = useVisitor()
  const users = useUsers()
  const popular = usePopular('popular', SHOWN)
  const now = useNow(30_000)
  return (
    <Stack gap="xl">
      <div className={classes.head}>
        <div>
          <Title order={1}>Feature inspector</Title>
          <Text c="dimmed" maw={620}>
            The live row of a user or an item as it lies in the online store, how its counts fade, and the
            same row as Feast’s SDK reads it.
          </Text>
        </div>
        <Finder kind="user" />
      </div>
      <section aria-labelledby="choose-user">
        <Title order={2} size="h4" mb="sm" id="choose-user">
          Users
        </Title>
        <div className={classes.choices}>
          <Choice place={{ kind: 'user', id: visitor.userId }} title={visitor.userId} you>
            you, in this tab
          </Choice>
          {users.isPending && <Waiting />}
          {users.data?.users.slice(0, SHOWN - 1).map((user) => (
            <Choice
              key={user.user_id}
              place={{ kind: 'user', id: user.user_id }}
              title={`User ${user.user_id}`}
            >
              {user.event_count} events
              {user.last_event && `, last ${ageOf(now - Date.parse(user.last_event))} ago`}
            </Choice>
          ))}
        </div>
      </section>
      <section aria-labelledby="choose-item">
        <Title order={2} size="h4" mb="sm" id="choose-item">
          Items
        </Title>
        <div className={classes.choices}>
          {popular.isPending && <Waiting />}
          {popular.data?.recommendations.map((item) => (
            <Choice
              key={item.item_id}
              place={{ kind: 'item', id: item.item_id }}
              title={item.title ?? item.item_id}
            >
              item {item.item_id}
            </Choice>
          ))}
        </div>
      </section>
    </Stack>
  )
}

interface ChoiceProps {
  place: Place
  title: string
  you?: boolean
  children: ReactNode
}

function Choice({ place, title, you, children }: ChoiceProps) {
  return (
    <Link href={addressOf(place)} className={classes.choice} data-you={you || undefined}>
      <strong>{title}</strong>
      <span>{children}</span>
    </Link>
  )
}

function Waiting() {
  return Array.from({ length: 7 }, (_, n) => n).map((n) => <Skeleton key={n} h={66} radius="md" />)
}
