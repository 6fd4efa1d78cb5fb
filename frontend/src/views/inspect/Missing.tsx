import { Button, Group, Stack, Text, Title } from '@mantine/core'
import { Link } from 'wouter'
import { Command } from '@/parts/Command'
import { quoted } from '@/parts/shell'
import classes from './inspect.module.css'
import type { Place } from './place'

/** Nobody of that name: how to change that. The view goes on looking, so the row appears when it is there. */
export function Missing({ place, ingestBase }: { place: Place; ingestBase: string }) {
  const user = place.kind === 'user'
  const event = user
    ? { user_id: place.id, item_id: '50', event_type: 'click' }
    : { user_id: 'visitor-00000001', item_id: place.id, event_type: 'view' }
  const command = `curl -sS ${quoted(`${ingestBase}/events`)} \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(JSON.stringify(event))}`
  return (
    <Stack className={classes.card} gap="md" role="status">
      <Title order={1} size="h2">
        {user ? 'No such user yet' : 'No such item yet'}
      </Title>
      <Text>
        Nobody has told Freshet of {place.kind} <strong className={classes.id}>{place.id}</strong>.{' '}
        {user
          ? 'A user exists from the first event on, or from a profile (PUT /users/{user_id}).'
          : 'An item exists from the first event on, or from its entry in the catalogue (PUT /items/{item_id}).'}{' '}
        Send an event, and the row shows up here by itself:
      </Text>
      <Command text={command} label="Command that makes it exist" />
      <Group>
        <Button component={Link} href="/" variant="light">
          Act as a visitor
        </Button>
        <Button component={Link} href="/inspect" variant="subtle">
          Choose another
        </Button>
      </Group>
    </Stack>
  )
}
