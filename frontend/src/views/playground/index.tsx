import { Button, Group, SegmentedControl, Text, Title } from '@mantine/core'
import { useEffect, useMemo, useState } from 'react'
import { useUsers } from '@/api/hooks'
import { Copy } from '@/parts/Command'
import { Compared } from './Compared'
import { difference } from './difference'
import { Facts } from './Facts'
import { Form } from './Form'
import { type Asked, useAsked, useSettings } from './hooks'
import { Links } from './Links'
import { List, NoList } from './List'
import classes from './playground.module.css'
import { differing, PLAIN, type Side } from './settings'
import { Wire } from './Wire'

const SIDES: Side[] = ['a', 'b']
const NAMES: Record<Side, string> = { a: 'A', b: 'B' }

/** View 5: two settings of a request side by side, and what they make of it. */
export default function View() {
  const [both, change] = useSettings()
  const [side, setSide] = useState<Side>('a')
  const [pointed, setPointed] = useState<string | null>(null)
  useSomebody(both.a.user === '' && both.b.user === '' && both.a.who === 'user', (user) =>
    change({ a: { ...both.a, user }, b: { ...both.b, user, diversity: both.b.diversity || '0.6' } }),
  )
  const asked = { a: useAsked(both.a), b: useAsked(both.b) }
  const a = asked.a.answer?.recommendations
  const b = asked.b.answer?.recommendations
  const found = useMemo(() => (a && b ? difference(a.map(idOf), b.map(idOf)) : null), [a, b])
  const unlike = differing(both)
  const strong = a?.findIndex((item) => item.item_id === pointed) ?? null

  // On a narrow screen only one side is shown.
  const mark = (which: Side) => ({ 'data-side': which, 'data-chosen': side === which || undefined })
  return (
    <div className={classes.view}>
      <header className={classes.head}>
        <div>
          <Title order={1}>Playground</Title>
          <Text c="dimmed">
            One recommender, two settings. The address holds both, so a link shows the same.
          </Text>
        </div>
        <Group gap="xs">
          <Button size="xs" variant="light" onClick={() => change({ a: both.a, b: both.a })}>
            Copy A to B
          </Button>
          <Button size="xs" variant="light" onClick={() => change({ a: both.b, b: both.a })}>
            Swap
          </Button>
          <Button
            size="xs"
            variant="subtle"
            onClick={() => change({ a: reset(both.a.user), b: reset(both.b.user) })}
          >
            Reset
          </Button>
          <Copy text={window.location.href} label="link to these settings" />
        </Group>
      </header>
      <SegmentedControl
        fullWidth
        className={classes.tabs}
        aria-label="Setting shown"
        value={side}
        onChange={(value) => setSide(value as Side)}
        data={[
          { value: 'a', label: 'Setting A' },
          { value: 'b', label: 'Setting B' },
        ]}
      />
      <div className={classes.sides}>
        {SIDES.map((which) => (
          <section
            key={which}
            className={classes.card}
            aria-label={`Setting ${NAMES[which]}`}
            {...mark(which)}
          >
            <Title order={2} size="h4" mb="sm" className={classes.sideName}>
              {NAMES[which]}
            </Title>
            <Form
              name={NAMES[which]}
              setting={both[which]}
              errors={asked[which].fields}
              differing={new Set(unlike)}
              onChange={(setting) => change({ ...both, [which]: setting })}
            />
          </section>
        ))}
      </div>
      <Compared found={found} differing={unlike} />
      <div className={classes.lists}>
        {SIDES.map((which) => (
          <section
            key={which}
            className={classes.result}
            aria-label={`Answer ${NAMES[which]}`}
            {...mark(which)}
          >
            <Facts asked={asked[which]} />
            {asked[which].answer?.recommendations.length ? (
              <List
                name={NAMES[which]}
                other={NAMES[which === 'a' ? 'b' : 'a']}
                items={asked[which].answer.recommendations}
                moves={found?.[which] ?? null}
                stale={asked[which].stale}
                pointed={pointed}
                onPoint={setPointed}
              />
            ) : (
              <Nothing asked={asked[which]} />
            )}
          </section>
        ))}
        {found && (
          <div className={classes.between}>
            <Links pairs={found.pairs} rows={Math.max(found.a.length, found.b.length)} strong={strong} />
          </div>
        )}
      </div>
      <div className={classes.sides}>
        {SIDES.map((which) => (
          <div key={which} {...mark(which)}>
            <Wire name={NAMES[which]} asked={asked[which]} />
          </div>
        ))}
      </div>
    </div>
  )
}

function Nothing({ asked }: { asked: Asked }) {
  if (asked.failure) return null
  const refused = Object.keys(asked.fields).length > 0
  return (
    <NoList waiting={asked.waiting && asked.request !== null && !refused}>
      {asked.answer
        ? 'Nothing may be shown by these rules.'
        : refused
          ? 'The request was refused: see the field above.'
          : 'Say who asks: a user, or a session.'}
    </NoList>
  )
}

function idOf({ item_id }: { item_id: string }): string {
  return item_id
}

function reset(user: string) {
  return { ...PLAIN, user }
}

/** Somebody to begin with, when the address names nobody. */
function useSomebody(wanted: boolean, take: (user: string) => void) {
  const somebody = useUsers().data?.users[0]?.user_id
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when somebody is known
  useEffect(() => {
    if (wanted && somebody) take(somebody)
  }, [somebody])
}
