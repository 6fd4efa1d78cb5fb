import {
  Autocomplete,
  Button,
  Group,
  SegmentedControl,
  Slider,
  Stack,
  Switch,
  Text,
  Textarea,
  TextInput,
} from '@mantine/core'
import { useConfig, useUsers } from '@/api/hooks'
import classes from './playground.module.css'
import { type FieldErrors, idsOf } from './request'
import type { Setting } from './settings'

interface Props {
  name: string
  setting: Setting
  errors: FieldErrors
  /** The fields that the other setting has otherwise. */
  differing: ReadonlySet<keyof Setting>
  onChange: (setting: Setting) => void
}

const EXAMPLE =
  '[{"item_id": "50", "event_type": "click"},\n {"item_id": "181", "event_type": "rate", "value": 5}]'

/** One setting. What the service refuses stands at the field. */
export function Form({ name, setting, errors, differing, onChange }: Props) {
  const maxK = useConfig().data?.max_k
  const users = useUsers().data?.users.map(({ user_id }) => user_id)
  const put = (change: Partial<Setting>) => onChange({ ...setting, ...change })
  const field = (key: Exclude<keyof Setting, 'who' | 'explain'>) => ({
    value: setting[key],
    error: errors[key],
    'data-differs': differing.has(key) || undefined,
    onChange: (event: { currentTarget: { value: string } }) => put({ [key]: event.currentTarget.value }),
  })
  return (
    <Stack
      gap="sm"
      component="form"
      aria-label={`Setting ${name}`}
      onSubmit={(event) => event.preventDefault()}
    >
      <SegmentedControl
        size="xs"
        aria-label="Who asks"
        value={setting.who}
        onChange={(who) => put({ who: who as Setting['who'] })}
        data={[
          { value: 'user', label: 'A user' },
          { value: 'session', label: 'An anonymous session' },
        ]}
      />
      {setting.who === 'user' ? (
        <Autocomplete
          label="User"
          placeholder="user id"
          data={users}
          limit={8}
          {...field('user')}
          onChange={(user) => put({ user })}
        />
      ) : (
        <Stack gap={4}>
          <Textarea
            label="Events of the session"
            description="A JSON array, or one object a line; nothing is stored"
            rows={5}
            resize="vertical"
            spellCheck={false}
            classNames={{ input: classes.code }}
            {...field('events')}
          />
          {!setting.events && (
            <Button
              variant="subtle"
              size="compact-xs"
              className={classes.example}
              onClick={() => put({ events: EXAMPLE })}
            >
              Fill in an example
            </Button>
          )}
        </Stack>
      )}
      <div className={classes.fields}>
        <TextInput
          label="How many (k)"
          placeholder={maxK ? `1 to ${maxK}` : '10'}
          inputMode="numeric"
          {...field('k')}
        />
        <TextInput label="Category" placeholder="any" {...field('category')} />
        <TextInput label="Similar to item" placeholder="item id" {...field('context_item')} />
        <TextInput
          label="Most per category"
          placeholder="as set up"
          inputMode="numeric"
          {...field('max_per_category')}
        />
        <TextInput
          label="Time limit, ms"
          placeholder="as set up"
          inputMode="numeric"
          {...field('timeout_ms')}
        />
        <TextInput
          label={`Exclude${setting.exclude ? ` (${idsOf(setting.exclude).length})` : ''}`}
          placeholder="item ids"
          {...field('exclude')}
        />
      </div>
      <Diversity
        value={setting.diversity}
        error={errors.diversity}
        onChange={(diversity) => put({ diversity })}
      />
      <Switch
        label="Explain"
        checked={setting.explain}
        onChange={(event) => put({ explain: event.currentTarget.checked })}
        error={errors.explain}
      />
    </Stack>
  )
}

interface DiversityProps {
  value: string
  error: string | undefined
  onChange: (value: string) => void
}

function Diversity({ value, error, onChange }: DiversityProps) {
  return (
    <div>
      <Group justify="space-between" mb={2}>
        <Text size="sm" fw={500}>
          Diversity{' '}
          <Text span c="dimmed" className={classes.digits}>
            {value === '' ? 'left to the service' : value}
          </Text>
        </Text>
        {value !== '' && (
          <Button variant="subtle" size="compact-xs" onClick={() => onChange('')}>
            Leave to the service
          </Button>
        )}
      </Group>
      <Slider
        thumbLabel="Diversity, 0 best first to 1 as unlike as possible"
        min={0}
        max={1}
        step={0.05}
        label={null}
        value={Number(value) || 0}
        onChange={(chosen) => onChange(String(Number(chosen.toFixed(2))))}
        className={classes.slider}
      />
      <div className={classes.ends} aria-hidden>
        <span>best first</span>
        <span>as unlike as possible</span>
      </div>
      {error && (
        <Text size="xs" c="var(--mantine-color-error)" mt={4} role="alert">
          {error}
        </Text>
      )}
    </div>
  )
}
