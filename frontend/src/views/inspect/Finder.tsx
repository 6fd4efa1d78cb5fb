import { Autocomplete, Button, Group, SegmentedControl } from '@mantine/core'
import { type FormEvent, useState } from 'react'
import { useLocation } from 'wouter'
import { usePopular, useUsers } from '@/api/hooks'
import classes from './inspect.module.css'
import { addressOf, type Kind } from './place'

const TITLES = 200

/** Goes to a user or an item: by id, or by what is offered while one types. */
export function Finder({ kind: at }: { kind: Kind }) {
  const [, go] = useLocation()
  const [kind, setKind] = useState<Kind>(at)
  const [text, setText] = useState('')
  const users = useUsers()
  const popular = usePopular('popular', TITLES)
  // An item is offered by its title; its id goes along, since titles need not be unique.
  const items = popular.data?.recommendations ?? []
  const offered =
    kind === 'user'
      ? (users.data?.users ?? []).map(({ user_id }) => user_id)
      : items.map(({ item_id, title }) => (title ? `${title} · ${item_id}` : item_id))
  const open = (typed: string) => {
    const id = (kind === 'item' ? typed.split(' · ').pop() : typed)?.trim()
    if (!id) return
    setText('')
    go(addressOf({ kind, id }))
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    open(text)
  }
  return (
    <form onSubmit={submit} className={classes.finder}>
      <Group gap="xs" wrap="nowrap" className={classes.finderRow}>
        <SegmentedControl
          aria-label="What to inspect"
          value={kind}
          onChange={(value) => {
            setKind(value as Kind)
            setText('')
          }}
          data={[
            { value: 'user', label: 'User' },
            { value: 'item', label: 'Item' },
          ]}
        />
        <Autocomplete
          className={classes.finderInput}
          aria-label={kind === 'user' ? 'User id' : 'Item id or title'}
          placeholder={kind === 'user' ? 'user id' : 'item id or title'}
          data={[...new Set(offered)]}
          limit={8}
          value={text}
          onChange={setText}
          onOptionSubmit={open}
        />
        <Button type="submit" variant="light">
          Open
        </Button>
      </Group>
    </form>
  )
}
